#!/bin/sh
# In a guest with two cards of a driver that has zero-copy, but works in it only while a native program is attached (igb): the library
# takes zero-copy where that holds and copy mode elsewhere, and says why; where zero-copy was demanded, the error does.
set -u
pump=/test/manual_packet_pump
failed=0

check() { # NAME FILE PATTERN
    if grep -q "$3" "$2"; then
        echo "ok: $1"
    else
        echo "FAILED: $1: no \"$3\" in:"
        cat "$2"
        failed=1
    fi
}
carrier() {
    for _ in $(seq 100); do
        [ "$(cat "/sys/class/net/$1/carrier")" = 1 ] && return
        sleep 0.1
    done
    echo "$1 has no carrier"
}
packets() { # of eth1
    cat /sys/class/net/eth1/statistics/rx_packets
}

before=$(packets)
timeout 30 $pump -m txonly -i eth0 -n 100 >/tmp/out 2>&1 || echo "exit code $?" >>/tmp/out
check "a socket that only sends takes copy mode" /tmp/out "achieved copy, because zero-copy takes an XDP program in native mode, and eth0 has none"
[ $(($(packets) - before)) -ge 100 ] || failed=1
echo "$(($(packets) - before)) packets arrived"

timeout 30 $pump -m txonly -i eth0 -n 100 --zero-copy >/tmp/out 2>&1
check "zero-copy that was demanded says why it does not send" /tmp/out "(igb) runs a zero-copy socket only while an XDP program is attached in native mode, and there is none"

timeout 60 $pump -m l2fwd -i eth1 -n 100 --generic >/tmp/out 2>&1 &
receiver=$!
sleep 3
carrier eth0
carrier eth1
timeout 30 $pump -m txonly -i eth0 -n 100 --copy >/tmp/sent 2>&1 || cat /tmp/sent
wait $receiver || failed=1
check "with a generic program it takes copy mode" /tmp/out "achieved copy, because zero-copy takes an XDP program in native mode, and that of eth1 runs in generic mode"
exit $failed
