package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sandbox-audio/templates"
)

// newManCommand writes the manual, for "make" to install: a page for each command, from what --help shows of it, and
// one for the configuration, which is the example with all keys explained.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual's pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return writeManual(cmd.Root(), args[0]) },
	}
}

func writeManual(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := map[string]string{"sandbox-audio.toml.5": configPage(), "sandbox-audio.1": commandPage(root)}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "completion" {
			pages[pageName(cmd)+".1"] = commandPage(cmd)
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page is a manual page in the man macros of groff (groff_man(7)).
type page struct{ strings.Builder }

func newPage(name, section, short string) *page {
	p := new(page)
	p.line(`.\" Generated from the program by "make"; change it there.`)
	p.line(".TH " + roff(name) + " " + section + ` "" sandbox\-audio`)
	p.line(".SH NAME")
	p.line(roff(name) + ` \- ` + roff(strings.ToLower(short[:1])+short[1:]))
	return p
}

func (p *page) line(text string) { p.WriteString(text + "\n") }

// roff is text that groff sets as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// text is paragraphs; indented lines are set as they are.
func (p *page) text(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.line(".PP")
		}
		if strings.HasPrefix(paragraph, "  ") {
			p.verbatim(paragraph)
			continue
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			p.line(roff(line))
		}
	}
}

func (p *page) verbatim(text string) {
	p.line(".nf")
	for line := range strings.SplitSeq(text, "\n") {
		p.line(roff(line))
	}
	p.line(".fi")
}

// commandPage is the page of a command and its subcommands.
func commandPage(cmd *cobra.Command) string {
	p := newPage(pageName(cmd), "1", cmd.Short)
	var subs []*cobra.Command
	if cmd.HasParent() {
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				subs = append(subs, sub)
			}
		}
	}
	p.line(".SH SYNOPSIS\n.nf")
	for _, c := range append(subs, cmd) {
		if c != cmd || len(subs) == 0 || c.HasAvailableLocalFlags() { // else it shows its help alone
			p.synopsis(c)
		}
	}
	p.line(".fi")
	p.line(".SH DESCRIPTION")
	status := p.describe(cmd)
	if cmd.LocalFlags().HasAvailableFlags() {
		p.line(".SH OPTIONS")
	}
	p.options(cmd)
	for _, sub := range subs {
		p.line(".SH " + roff(strings.ToUpper(sub.Name())))
		p.describe(sub)
		p.options(sub)
	}
	if !cmd.HasParent() {
		p.line(".SH COMMANDS")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.Name() != "completion" {
				p.line(".TP\n.BR " + roff(pageName(c)) + " (1)\n" + roff(c.Short))
			}
		}
	}
	if status != "" {
		p.line(".SH EXIT STATUS")
		p.line(roff(strings.ToUpper(status[:1]) + status[1:]))
	}
	var examples []string
	for _, c := range append([]*cobra.Command{cmd}, subs...) {
		if c.Example != "" {
			examples = append(examples, c.Example)
		}
	}
	if len(examples) > 0 {
		p.line(".SH EXAMPLES")
		p.verbatim(strings.Join(examples, "\n"))
	}
	p.line(".SH SEE ALSO\n.BR sandbox\\-audio (1),\n.BR sandbox\\-audio.toml (5)")
	return p.String()
}

func (p *page) synopsis(cmd *cobra.Command) {
	line := cmd.CommandPath() + " [OPTION...] " + strings.TrimPrefix(strings.TrimPrefix(cmd.Use, cmd.Name()), " ")
	if !cmd.HasParent() {
		line = cmd.Name() + " COMMAND [ARG...]"
	}
	p.line(roff(line))
}

// describe writes what a command does, and returns what stands about its exit status.
func (p *page) describe(cmd *cobra.Command) (status string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	text, status, _ = strings.Cut(text, "Exit status: ")
	p.text(text)
	return strings.ReplaceAll(status, "\n", " ")
}

func (p *page) options(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + name
		}
		if value != "" {
			name += `=\fI` + roff(value) + `\fR`
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && !strings.Contains(usage, "default") {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		p.line(".TP\n" + name + "\n" + roff(usage))
	})
}

func configPage() string {
	p := newPage("sandbox-audio.toml", "5", "settings of sandbox-audio")
	p.line(".SH EXAMPLE")
	p.verbatim(strings.TrimSuffix(templates.Config, "\n"))
	p.line(".SH SEE ALSO\n.BR sandbox\\-audio (1)")
	return p.String()
}
