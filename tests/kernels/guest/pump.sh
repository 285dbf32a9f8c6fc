#!/bin/sh
# In a guest with two cards: 500 packets from eth0 are received on eth1 in the bind mode named, and sent back.
#
#     pump.sh copy|zero-copy [OPTION-OF-THE-PUMP...]
set -u
mode=$1
shift
pump=/test/manual_packet_pump

carrier() {
    for _ in $(seq 100); do
        [ "$(cat "/sys/class/net/$1/carrier")" = 1 ] && return
        sleep 0.1
    done
    echo "$1 has no carrier"
}
packets() {
    cat "/sys/class/net/eth0/statistics/rx_packets"
}

before=$(packets)
timeout 60 $pump -m l2fwd -i eth1 -n 500 "--$mode" "$@" >/tmp/l2fwd 2>&1 &
receiver=$!
# A card may take its link down when a program is attached.
sleep 3
carrier eth0
carrier eth1
timeout 30 $pump -m txonly -i eth0 -n 500 --copy >/tmp/txonly 2>&1 || {
    cat /tmp/txonly
    exit 1
}
wait $receiver
code=$?
cat /tmp/l2fwd
sleep 1
after=$(packets)
echo "$((after - before)) packets came back"
[ "$code" -eq 0 ] && [ $((after - before)) -ge 500 ]
