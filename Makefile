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

# The parts, and then the whole beside PulseAudio and PipeWire.
bench: go
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchmem -benchtime 0.3s -timeout 30m ./audiod/... ./e2e/desktop
	@$(MAKE) --no-print-directory bench-peers

# Needs root. The table is in build/bench.md afterwards.
bench-peers: go
	@mkdir -p build
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -timeout 30m ./e2e/bench -table $(CURDIR)/build/bench.md

# The manual is what the program says of itself.
man: build
	@rm -rf build/man
	./sandbox-audio man build/man

BIN  = $(DESTDIR)$(PREFIX)/bin
DATA = $(DESTDIR)$(PREFIX)/share

install: build man
	install -D -m 755 sandbox-audio $(BIN)/sandbox-audio
	install -D -m 644 completions/sandbox-audio.bash $(DATA)/bash-completion/completions/sandbox-audio
	install -D -m 644 completions/_sandbox-audio $(DATA)/zsh/site-functions/_sandbox-audio
	install -D -m 644 completions/sandbox-audio.fish $(DATA)/fish/vendor_completions.d/sandbox-audio.fish
	install -D -m 644 templates/config.toml $(DATA)/doc/sandbox-audio/config.toml
	@for page in build/man/*; do \
		install -D -m 644 $$page $(DATA)/man/man$${page##*.}/$${page##*/} || exit 1; \
	done

uninstall: man
	rm -f $(BIN)/sandbox-audio \
		$(DATA)/bash-completion/completions/sandbox-audio \
		$(DATA)/zsh/site-functions/_sandbox-audio \
		$(DATA)/fish/vendor_completions.d/sandbox-audio.fish \
		$(DATA)/doc/sandbox-audio/config.toml
	@[ ! -d $(DATA)/doc/sandbox-audio ] || rmdir --ignore-fail-on-non-empty $(DATA)/doc/sandbox-audio
	@for page in build/man/*; do rm -f $(DATA)/man/man$${page##*.}/$${page##*/}; done

clean:
	rm -rf sandbox-audio build

.PHONY: build sandbox-audio go demo test bench bench-peers man install uninstall clean
