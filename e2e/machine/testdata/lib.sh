# What the scripts of these tests share. They run in the guest as root, on behalf of ann, the owner.

ann="setpriv --reuid=ann --regid=ann --init-groups --reset-env"
bob="setpriv --reuid=bob --regid=bob --init-groups --reset-env"
native=unix:/run/sandbox-audio/ann/native

# eventually COMMAND waits until it succeeds, for a minute of the guest's time.
eventually() {
	local end=$((SECONDS + 60))
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "still not so after a minute: $*"; exit 1; }
		sleep 0.1
	done
}

status() { $ann sandbox-audio status --json; }
playing() { status >/tmp/status 2>/dev/null && [ "$(grep -c '"state": "playing"' /tmp/status)" = "$1" ]; }
card_closed() { grep -qx closed /proc/asound/Intel/pcm0p/sub0/status; }
uptime() { cut -d' ' -f1 /proc/uptime; }

# system is all that setup may change, and the owner's home but for the log of her daemon.
system() {
	for file in passwd group shadow gshadow subuid subgid; do echo "== $file"; cat /etc/$file; done
	for dir in /etc/sudoers.d /etc/tmpfiles.d /home /usr/local/lib /var/lib/sandbox-audio /run/sandbox-audio; do
		echo "== $dir"
		find $dir -path '/home/ann/.local' -prune -o -printf '%p %M %U:%G %l\n' -type f -exec sha256sum {} + 2>&1 | sort
	done
}
