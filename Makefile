# make, make demo, make test: all a fresh machine needs besides Debian is Go and make itself.
PREFIX  = /usr/local
DESTDIR =
GO      = go

AS_ROOT = $$([ $$(id -u) -eq 0 ] || command -v sudo)

build: sandbox-audio

# Always built: go knows best what has changed. Without version control's stamp, which git denies to root in another's checkout.
sandbox-audio: go
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o $@ ./cmd/sandbox-audio

go:
	@command -v $(GO) >/dev/null || { echo "no $(GO) command: install Go 1.26 or later from https://go.dev/dl/ (Debian: golang-go from backports)" >&2; exit 1; }

demo: build
	@[ $$(id -u) -eq 0 ] || command -v sudo >/dev/null || { echo "the demo makes a temporary user: run it as root" >&2; exit 1; }
	@$(AS_ROOT) ./sandbox-audio demo

test: build
	@$(GO) build -buildvcs=false -o build/runtests ./e2e/cmd/runtests
	@build/runtests

bench: go
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...

install: build
	install -D -m 755 sandbox-audio $(DESTDIR)$(PREFIX)/bin/sandbox-audio
	install -D -m 644 completions/sandbox-audio.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sandbox-audio
	install -D -m 644 completions/_sandbox-audio $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sandbox-audio
	install -D -m 644 completions/sandbox-audio.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sandbox-audio.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/sandbox-audio \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sandbox-audio \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sandbox-audio \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sandbox-audio.fish

clean:
	rm -rf sandbox-audio build

.PHONY: build sandbox-audio go demo test bench install uninstall clean
