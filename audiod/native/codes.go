package native

import "fmt"

// Code is the protocol's error number (pa_error_code_t), and an error.
type Code uint32

const (
	OK                Code = iota
	ErrAccess              // access denied
	ErrCommand             // unknown command
	ErrInvalid             // invalid argument
	ErrExist               // entity exists
	ErrNoEntity            // no such entity
	ErrRefused             // connection refused
	ErrProtocol            // protocol error
	ErrTimeout             // timeout
	ErrAuthKey             // no authentication key
	ErrInternal            // internal error
	ErrTerminated          // connection terminated
	ErrKilled              // entity killed
	ErrInvalidServer       // invalid server
	ErrModuleInit          // module initialization failed
	ErrBadState            // bad state
	ErrNoData              // no data
	ErrVersion             // incompatible protocol version
	ErrTooLarge            // data too large
	ErrNotSupported        // operation not supported
	ErrUnknown             // unknown error code
	ErrNoExtension         // no such extension
	ErrObsolete            // obsolete functionality
	ErrNotImplemented      // missing implementation
	ErrForked              // client forked
	ErrIO                  // input/output error
	ErrBusy                // device or resource busy
)

var codeNames = [...]string{"ok", "access denied", "unknown command", "invalid argument", "entity exists", "no such entity",
	"connection refused", "protocol error", "timeout", "no authentication key", "internal error", "connection terminated",
	"entity killed", "invalid server", "module initialization failed", "bad state", "no data", "incompatible protocol version",
	"too large", "not supported", "unknown error code", "no such extension", "obsolete functionality", "missing implementation",
	"client forked", "input/output error", "device or resource busy"}

// Error is PulseAudio's wording (pulse/error.c).
func (e Code) Error() string {
	if int(e) < len(codeNames) {
		return codeNames[e]
	}
	return fmt.Sprintf("error code %d", uint32(e))
}
