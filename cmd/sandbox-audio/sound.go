package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/session"
	"sandbox-audio/launcher"
)

// daemonLink is the sound daemon as the launcher knows it: a connection that the owner holds, by the daemon's own protocol.
type daemonLink struct{}

func (daemonLink) Connect(ctx context.Context, addr string) (launcher.Session, error) {
	c, err := native.Dial(ctx, addr, "sandbox-audio run")
	if err != nil {
		return nil, err
	}
	return daemonSession{c}, nil
}

type daemonSession struct{ *native.Client }

func (s daemonSession) Rule(helperUID int, rules *launcher.Rules) error {
	to := session.UserRules{UID: uint32(helperUID), Microphone: memory.Access(rules.Microphone)}
	if rules.MaxVolume != nil {
		to.MaxVolume = *rules.MaxVolume
	}
	err := send(s.Client, session.MessageRules, to, new(session.User))
	if errors.Is(err, native.ErrNotImplemented) {
		return nil // it is older than this program, and goes by what it was started with
	}
	return err
}

// dialDaemon connects to the daemon at addr, or where that is empty to the caller's own. command is who says so.
func dialDaemon(addr, command string) (*native.Client, error) {
	if addr == "" {
		owner, err := launcher.Owner()
		if err != nil {
			return nil, err
		}
		if addr, err = launcher.DaemonAddress(owner); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := native.Dial(ctx, addr, "sandbox-audio "+command)
	if err != nil {
		return nil, fmt.Errorf("no sound daemon of yours answers at %s (run starts one): %w", addr, err)
	}
	return c, nil
}

// send sends one of the daemon's own messages, with parameters as JSON unless they are nil, and reads the answer.
func send(c *native.Client, message string, parameters, answer any) error {
	text := ""
	if parameters != nil {
		b, err := json.Marshal(parameters)
		if err != nil {
			return err
		}
		text = string(b)
	}
	text, err := c.SendMessage(session.ControlPath, message, text)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		return fmt.Errorf("the daemon's answer is not what this program understands: %w", err)
	}
	return nil
}

func statusOf(c *native.Client) (st session.Status, err error) {
	err = send(c, session.MessageStatus, nil, &st)
	if errors.Is(err, native.ErrNoEntity) {
		return st, errors.New("the daemon shows its state to its owner only, and that is not you")
	}
	if err != nil {
		return st, fmt.Errorf("asking the daemon for its state: %w", err)
	}
	return st, nil
}

// withDaemon has f speak with the daemon at addr, whose state it gets.
func withDaemon(addr, command string, f func(c *native.Client, st session.Status) error) error {
	c, err := dialDaemon(addr, command)
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := statusOf(c)
	if err != nil {
		return err
	}
	return f(c, st)
}
