#!/usr/bin/env bash
# Two network namespaces joined by a veth pair: the kernel in one of them pings the
# ping responder in the other. Fails when a reply or a frame is lost.
#
#     examples-c/demo.sh target/examples-c/ping_responder
#
# Needs root, and a kernel with AF_XDP; without them it shows the ping responder on the simulator,
# and says so. Leaves nothing behind, whatever happens.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

responder=${1:?usage: examples-c/demo.sh PING_RESPONDER}
kernel=fluxcap-demo-$$-a
library=fluxcap-demo-$$-b
interface=demo$$
address=10.111.0.2
pid=
work=

fail() {
    echo "demo: $*" >&2
    exit 1
}

# Ends with a demo that needs nothing of what is missing here.
simulate() {
    echo "demo: $*; so this is the simulator, not a kernel: it needs neither root nor a network"
    echo
    echo "== ping_responder --sim"
    "$responder" --sim || fail "the simulated demo failed"
    echo
    echo "demo: every ping was answered and no frame was lost, on the simulator"
    exit 0
}

# Waits up to ten seconds for a command to succeed.
wait_for() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if "$@"; then
            return 0 # a bare return in a trap returns what was before the trap
        fi
        sleep 0.05
    done
    return 1
}

ended() {
    ! kill -0 "$pid" 2>/dev/null
}

clean_up() {
    local code=$?
    trap '' INT TERM HUP
    if [[ -n $pid ]] && ! ended; then
        kill -TERM "$pid" || true
        wait_for ended || kill -KILL "$pid" || true
        wait "$pid" || true
    fi
    ip netns del "$kernel" 2>/dev/null || true
    ip netns del "$library" 2>/dev/null || true
    if [[ -n $work ]]; then
        rm -rf "$work"
    fi
    exit "$code"
}

[[ -x $responder ]] || fail "there is no program $responder; make examples builds it"
[[ $(id -u) -eq 0 ]] || simulate "root is missing, which it takes to make network namespaces and to load an XDP program"
for program in ip ping; do
    command -v "$program" >/dev/null || simulate "the program $program is missing"
done

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
work=$(mktemp -d)
log=$work/log

echo "== a kernel ($kernel) and a responder ($library), joined by a cable"
for namespace in "$kernel" "$library"; do
    ip netns add "$namespace" || simulate "network namespaces are missing (ip netns add fails)"
done
ip -n "$kernel" link add "$interface" type veth peer name "$interface" netns "$library" ||
    simulate "veth interfaces are missing (ip link add fails)"
for namespace in "$kernel" "$library"; do
    # No IPv6 address, so no packets but ours.
    ip -n "$namespace" link set "$interface" addrgenmode none 2>/dev/null || true
    ip -n "$namespace" link set "$interface" up
done
ip -n "$kernel" address add 10.111.0.1/24 dev "$interface"

: >"$log" # it is looked into at once
# Namespaces are entered by exec, so the process is the responder's own.
ip netns exec "$library" "$responder" -i "$interface" -a "$address" >"$log" 2>&1 &
pid=$!
answering_or_ended() {
    grep -q '^answering ' "$log" || ended
}
wait_for answering_or_ended || fail "the responder is not ready after ten seconds"
cat "$log"
if ended; then
    # What the library says when the kernel or the rights do not suffice.
    if grep -q 'CONFIG_XDP_SOCKETS' "$log"; then
        simulate "AF_XDP is missing in this kernel, or forbidden here"
    elif grep -q 'CAP_[A-Z]' "$log"; then
        simulate "capabilities are missing, although this is root"
    fi
    fail "the responder could not start"
fi

# Pings, shows what ping says, and wants each of the given number of replies, intact.
ping_all() {
    local count=$1
    shift
    echo
    echo "== ping -c $count $* $address"
    ip netns exec "$kernel" ping -c "$count" "$@" "$address" | tee "$work/ping" || true
    grep -q "^$count packets transmitted, $count received, 0% packet loss" "$work/ping" || fail "replies were lost"
    if grep -q 'wrong data byte' "$work/ping"; then
        fail "replies were damaged"
    fi
}
ping_all 5 -i 0.2
ping_all 5 -i 0.2 -s 1400
ping_all 10000 -f -q

echo
echo "== the responder's counters, asked for by SIGUSR1"
lines=$(wc -l <"$log")
more_lines() {
    (($(wc -l <"$log") > lines))
}
kill -USR1 "$pid"
wait_for more_lines || fail "the responder did not print its counters"
sleep 0.1
tail -n "+$((lines + 1))" "$log"

echo
echo "== and at its end, after SIGINT"
lines=$(wc -l <"$log")
kill -INT "$pid"
wait_for ended || fail "the responder did not end"
result=0
wait "$pid" || result=$?
pid=
tail -n "+$((lines + 1))" "$log"
[[ $result -eq 0 ]] || fail "the responder ended with exit code $result: its frames do not add up"
echo
echo "demo: every ping was answered, no frame was lost"
