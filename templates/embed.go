// Package templates holds the text of every file that setup writes for other programs to read, and fills it in.
package templates

import (
	"bytes"
	"embed"
	"fmt"
	"sync"
	"text/template"
)

//go:embed client.conf sudoers tmpfiles.conf
var files embed.FS

// Config is the example of a configuration, with every key explained.
//
//go:embed config.toml
var Config string

var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Option("missingkey=error").ParseFS(files, "*"))
})

// Render returns the named file filled in with data. A missing value is an error, never an empty place in a file
// that decides who may do what. Any goroutine may call it.
func Render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := parsed().ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("fill in the template %s: %w", name, err)
	}
	return b.Bytes(), nil
}
