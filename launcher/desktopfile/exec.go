package desktopfile

import (
	"errors"
	"fmt"
	"strings"
)

// reserved are the characters for which an argument must be quoted ("The Exec key").
const reserved = " \t\n\"'\\><~|&;$*?#()`"

// QuoteArg is an argument as the value of an Exec key has it.
func QuoteArg(arg string) string {
	arg = strings.ReplaceAll(arg, "%", "%%")
	if arg == "" || strings.ContainsAny(arg, reserved) {
		arg = `"` + strings.NewReplacer(`"`, `\"`, "`", "\\`", `$`, `\$`, `\`, `\\`).Replace(arg) + `"`
	}
	return EscapeString(arg)
}

// EscapeString is text as the value of a key of the type string has it.
func EscapeString(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(text)
}

// UnescapeString is EscapeString undone. An escape that is none stays as it is, as in other readers.
func UnescapeString(value string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\s`, " ").Replace(value)
}

// SplitExec is the program and the arguments of an Exec key's value, field codes left in place.
func SplitExec(value string) (argv []string, err error) {
	var arg strings.Builder
	quoted, any := false, false
	rest := UnescapeString(value)
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case quoted && c == '\\':
			if i++; i == len(rest) || !strings.ContainsRune("\"`$\\", rune(rest[i])) {
				return nil, fmt.Errorf("the Exec line %q has a backslash before nothing that needs one", value)
			}
			arg.WriteByte(rest[i])
		case c == '"':
			quoted, any = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if any {
				argv = append(argv, arg.String())
			}
			arg.Reset()
			any = false
		default:
			arg.WriteByte(c)
			any = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("the Exec line %q has a quote that does not end", value)
	}
	if any {
		argv = append(argv, arg.String())
	}
	if len(argv) == 0 {
		return nil, errors.New("the Exec line names no program")
	}
	return argv, nil
}

// PrefixExec is the value of an Exec key with arguments before it: program, arguments and field codes follow as they are.
func PrefixExec(value string, argv ...string) (string, error) {
	if _, err := SplitExec(value); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, arg := range argv {
		b.WriteString(QuoteArg(arg) + " ")
	}
	return b.String() + strings.TrimLeft(value, " \t"), nil
}
