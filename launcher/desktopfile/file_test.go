package desktopfile

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

const sample = "#!/usr/bin/xdg-open\n\n[Desktop Entry]\nName = Fire\nName[de]=Feuer\nExec=fire %u\nX-Odd=a=b\\s\n\n# actions\n[Desktop Action new]\r\nName=New\r\nExec=fire --new\n"

// What is not changed stays byte for byte, whatever it looks like.
func TestRoundTrip(t *testing.T) {
	for _, text := range []string{sample, "", "\n", "[a]", "# only", "[a]\nb=c", "[a]\n\n\nb[x]=\n  # c\n"} {
		f, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Bytes(); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestChanges(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := f.Get(Main, "Name"); v != "Fire" || !ok {
		t.Errorf("Name %q, %v", v, ok)
	}
	if got := f.Keys(Main, "Name"); !slices.Equal(got, []string{"Name", "Name[de]"}) {
		t.Errorf("keys %q", got)
	}
	if got := f.Groups(); !slices.Equal(got, []string{Main, "Desktop Action new"}) {
		t.Errorf("groups %q", got)
	}
	f.Set(Main, "Name[de]", "Brand")
	f.Set(Main, "DBusActivatable", "false")
	f.Set("New", "a", "b")
	f.Delete(Main, "X-Odd")
	want := "#!/usr/bin/xdg-open\n\n[Desktop Entry]\nName = Fire\nName[de]=Brand\nExec=fire %u\n\n# actions\nDBusActivatable=false\n[Desktop Action new]\r\nName=New\r\nExec=fire --new\n[New]\na=b\n"
	if got := f.Bytes(); string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What stands twice, readers take for the first or the last; once set, it is the same to all of them.
func TestSetLeavesNoOther(t *testing.T) {
	f, err := Parse([]byte("[a]\nk=1\nk=2\nother=3\n[b]\nk=4\n[a]\n k = 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := f.Get("a", "k"); v != "1" || !ok {
		t.Errorf("k %q, %v", v, ok)
	}
	if got := f.Keys("a", "k"); !slices.Equal(got, []string{"k"}) {
		t.Errorf("keys %q", got)
	}
	f.Set("a", "k", "new")
	if got, want := string(f.Bytes()), "[a]\nk=new\nother=3\n[b]\nk=4\n[a]\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"key=before a group", "[a]\nnothing", "[a\n", "\xff\xfe", "[a]\nb=\x00"} {
		if f, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was read as %q", text, f.Bytes())
		}
	}
}

// Defaults are added to any list there is and taken out again, and the list is what it was.
func TestDefaults(t *testing.T) {
	types := []string{"text/html", "x-scheme-handler/http"}
	for _, text := range []string{
		"", "[Default Applications]\ntext/html=firefox.desktop\n", "[Default Applications]\ntext/html=a.desktop;b.desktop;\n# mine\n\n[Added Associations]\ntext/html=a.desktop;\n",
		"[Added Associations]\nx=y\n", "# a comment\n",
	} {
		f, _ := Parse([]byte(text))
		f.AddDefault("ours.desktop", types...)
		f.AddDefault("ours.desktop", types...)
		added := f.Bytes()
		if f, _ = Parse(added); f.Default("text/html") != "ours.desktop" || f.Default("x-scheme-handler/http") != "ours.desktop" {
			t.Errorf("%q became %q", text, added)
		}
		f.RemoveDefault("ours.desktop", types...)
		if got := f.Bytes(); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Arguments survive being written and read, by us and by what starts programs from menus.
func TestExec(t *testing.T) {
	args := []string{"/opt/a b/c", `q"uote`, "$HOME `id` \\ end", "100%", "", "tab\tnew\nline", "ünï'~#(*)?;&|<>"}
	value, err := PrefixExec(`  prog "two words" %u --x=%%`, args...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := SplitExec(value)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(args, []string{"prog", "two words", "%u", "--x=%%"})
	want[3] = "100%%"
	if !slices.Equal(got, want) {
		t.Errorf("%s\nread as %q\nnot     %q", value, got, want)
	}
	for _, bad := range []string{"", "  ", `a "b`, `"a\x"`, `a "\\`} {
		if argv, err := SplitExec(bad); err == nil {
			t.Errorf("%q was read as %q", bad, argv)
		}
	}
}

func TestGLibAgrees(t *testing.T) {
	gio, err := exec.LookPath("gio")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	args := []string{"/opt/a b/c", `q"uote`, "$HOME `id` \\ end", "100%", "", "ünï'~#(*)?;&|<>"}
	value, err := PrefixExec("last", append([]string{"/bin/sh", "-c", `printf '%s\n' "$@" >` + dir + "/out", "sh"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	f := new(File)
	for _, kv := range [][2]string{{"Type", "Application"}, {"Name", "x"}, {"Exec", value}} {
		f.Set(Main, kv[0], kv[1])
	}
	write(t, dir+"/x.desktop", f.Bytes())
	if out, err := exec.Command(gio, "launch", dir+"/x.desktop").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := []byte("/opt/a b/c\nq\"uote\n$HOME `id` \\ end\n100%\n\nünï'~#(*)?;&|<>\nlast\n")
	if got := waitFor(t, dir+"/out", len(want)); !bytes.Equal(got, want) {
		t.Errorf("from %s\ngot  %q\nwant %q", value, got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse(text)
		if err != nil {
			return
		}
		if got := file.Bytes(); !bytes.Equal(got, text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzExec(f *testing.F) {
	f.Add(`a "b c" %u`, "x y")
	f.Fuzz(func(t *testing.T, value, arg string) {
		before, err := SplitExec(value)
		if err != nil {
			return
		}
		with, err := PrefixExec(value, arg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := SplitExec(with)
		if err != nil || !slices.Equal(got[1:], before) {
			t.Errorf("%q, %q: %q, %v", value, arg, got, err)
		}
	})
}
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// waitFor reads a file that another process writes, once it has n bytes.
func waitFor(t *testing.T, path string, n int) []byte {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && len(text) >= n || time.Now().After(end) {
			return text
		}
	}
}
