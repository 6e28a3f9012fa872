package session

import (
	"encoding/json"
	"strings"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// What the owner may ask beyond PulseAudio's commands goes by object messages (protocol 35), so that pactl can ask, too:
//
//	pactl send-message /sandbox-audio devices
//	pactl send-message /sandbox-audio user '{"uid":1001,"volume_percent":50}'
const (
	ControlPath    = "/sandbox-audio"
	MessageStatus  = "status"  // answered with a Status
	MessageDevices = "devices" // with a list of Device
	MessageUser    = "user"    // takes a UserChange, is answered with the User
	MessageMic     = "mic"     // takes a MicChange, is answered with the Mic
	MessageRules   = "rules"   // takes UserRules, is answered with the User
)

// messages is what ControlPath understands. Parameters and answers are JSON.
var messages = map[string]func(s *Server, parameters string) (answer any, err error){
	MessageStatus:  func(s *Server, _ string) (any, error) { return s.status(), nil },
	MessageDevices: func(s *Server, _ string) (any, error) { return s.devices(), nil },
	MessageUser:    (*Server).changeUser,
	MessageMic:     (*Server).changeMic,
	MessageRules:   (*Server).changeRules,
}

func (c *Session) objectMessage(r *request, m *native.SendObjectMessage) error {
	var answer any
	var err error
	switch do := messages[m.Message]; {
	case m.Path == "/core" && m.Message == "list-handlers":
		answer = c.handlers()
	case m.Path != ControlPath || c.grant != policy.Owner:
		return native.ErrNoEntity
	case do == nil:
		return native.ErrNotImplemented
	default:
		answer, err = do(c.server, m.Parameters)
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return c.reply(r.tag, &native.SendObjectMessageReply{Response: string(text)})
}

// handler is an object that takes messages, as PulseAudio lists them.
type handler struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (c *Session) handlers() []handler {
	if c.grant != policy.Owner {
		return []handler{}
	}
	return []handler{{ControlPath, "sandbox-audio's own: status, devices, user, mic, rules"}}
}

// UserChange is what is to be changed of a user: of what is nil, nothing.
type UserChange struct {
	UID    uint32   `json:"uid"`
	Volume *float64 `json:"volume_percent,omitempty"` // of the virtual sink: 0 to 100
	Muted  *bool    `json:"muted,omitempty"`
}

func (s *Server) changeUser(parameters string) (any, error) {
	var change UserChange
	if err := unmarshal(parameters, &change); err != nil {
		return nil, err
	}
	u := s.users[change.UID]
	if u == nil {
		return nil, native.ErrNoEntity
	}
	volume, muted := u.volume, u.muted
	if change.Volume != nil {
		if !(*change.Volume >= 0 && *change.Volume <= 100) {
			return nil, native.ErrInvalid
		}
		volume = []pcm.Volume{ofPercent(*change.Volume)}
	}
	if change.Muted != nil {
		muted = *change.Muted
	}
	s.turn(u, volume, muted)
	return s.userStatus(u), nil
}

// unmarshal reads one JSON value that has nothing in it that v has not.
func unmarshal(text string, v any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(v) != nil || d.More() {
		return native.ErrInvalid
	}
	return nil
}
