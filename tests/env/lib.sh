# Sourced by the scripts beside it: what they share.  Expects `set -eu`.
PYTHON=${PYTHON:-/usr/bin/python3}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# free_ports N: N different ports of 127.0.0.1 that nobody listens on.  They are taken from below
# the range the kernel gives to outgoing connections, so that a server that is stopped and started
# again finds its port still free.  Somebody may still be faster: callers try again.
free_ports() {
    "$PYTHON" -c '
import random, socket, sys
held = []
for _ in range(10000):
    if len(held) == int(sys.argv[1]):
        break
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randrange(15000, 32000)))
        held.append(s)
    except OSError:
        s.close()
print(*[s.getsockname()[1] for s in held])' "$1"
}

# listens PORT: something accepts connections there.
listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# write_env DIR LINE...: replaces DIR/env in one step, so that a reader never sees half of it.
write_env() {
    local dir=$1
    shift
    printf '%s\n' "$@" >"$dir/env.new"
    mv -f "$dir/env.new" "$dir/env"
}

# from_env DIR NAME: the value of a line NAME=value of DIR/env, empty when there is none.
from_env() {
    sed -n "s/^$2=//p" "$1/env" 2>/dev/null || true
}
