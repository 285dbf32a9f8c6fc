#!/bin/sh
# In a guest with two cards: one of the tests of tests/veth/cards.rs, which skips nothing here.
#
#     cards.sh TEST
FLUXCAP_CARDS="eth0 eth1" /test/veth --test-threads 1 --nocapture "cards::$1" >/tmp/out 2>&1
code=$?
cat /tmp/out
! grep -q skipped: /tmp/out || exit 1
exit $code
