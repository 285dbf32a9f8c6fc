/* Calls into the library: one indirect jump each, as through the procedure linkage table
 * of a program that uses libfluxcap.so. The compiler sees no further than that. */

#include <string.h>

#include "fluxcap.h"

/* Name without fluxcap_, result, parameters, arguments. */
#define CALLS(CALL)                                                                            \
	CALL(engine_free, void, (struct fluxcap_engine *engine), (engine))                     \
	CALL(engine_create, int,                                                               \
	     (struct fluxcap_raw **raws, uint32_t count,                                       \
	      const struct fluxcap_engine_config *config, struct fluxcap_engine **engine),     \
	     (raws, count, config, engine))                                                    \
	CALL(engine_run_once, int,                                                             \
	     (struct fluxcap_engine *engine, fluxcap_callback callback, void *user),           \
	     (engine, callback, user))                                                         \
	CALL(engine_wait, int, (struct fluxcap_engine *engine, int timeout_ms),                \
	     (engine, timeout_ms))                                                             \
	CALL(packets_free, int, (struct fluxcap_packet *packets, uint32_t count),              \
	     (packets, count))                                                                 \
	CALL(raw_alloc, int,                                                                   \
	     (struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count),        \
	     (raw, packets, count))                                                            \
	CALL(raw_data, uint8_t *, (const struct fluxcap_raw *raw), (raw))                      \
	CALL(raw_forward_front, int, (struct fluxcap_raw *raw, uint32_t max), (raw, max))      \
	CALL(raw_free, void, (struct fluxcap_raw *raw), (raw))                                 \
	CALL(raw_peek, int,                                                                    \
	     (struct fluxcap_raw *raw, uint32_t max, const struct fluxcap_desc **descs),       \
	     (raw, max, descs))                                                                \
	CALL(raw_reap, int, (struct fluxcap_raw *raw), (raw))                                  \
	CALL(raw_recycle_front, int, (struct fluxcap_raw *raw, uint32_t max), (raw, max))      \
	CALL(raw_refill, int, (struct fluxcap_raw *raw), (raw))                                \
	CALL(raw_send, int,                                                                    \
	     (struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count),        \
	     (raw, packets, count))                                                            \
	CALL(raw_split, int,                                                                   \
	     (struct fluxcap_raw *raw, struct fluxcap_rx **rx, struct fluxcap_tx **tx),        \
	     (raw, rx, tx))                                                                    \
	CALL(raw_wait, int, (struct fluxcap_raw *raw, uint32_t interest, int timeout_ms),      \
	     (raw, interest, timeout_ms))                                                      \
	CALL(raw_wake_tx, int, (const struct fluxcap_raw *raw), (raw))                         \
	CALL(rx_free, void, (struct fluxcap_rx *rx), (rx))                                     \
	CALL(rx_recv, int,                                                                     \
	     (struct fluxcap_rx *rx, struct fluxcap_packet *packets, uint32_t count,           \
	      int timeout_ms),                                                                 \
	     (rx, packets, count, timeout_ms))                                                 \
	CALL(rx_set_poller, int, (struct fluxcap_rx *rx, uint32_t poller, uint32_t spin_us),   \
	     (rx, poller, spin_us))                                                            \
	CALL(tx_free, void, (struct fluxcap_tx *tx), (tx))                                     \
	CALL(tx_send, int,                                                                     \
	     (struct fluxcap_tx *tx, struct fluxcap_packet *packets, uint32_t count),          \
	     (tx, packets, count))

#define POINTER(name, result, parameters, arguments) static result(*name) parameters;
#define CONNECT(known, result, parameters, arguments)                                          \
	if (!strcmp(name, "fluxcap_" #known)) {                                                \
		memcpy(&known, &function, sizeof(known));                                      \
		return 0;                                                                      \
	}
#define FUNCTION(name, result, parameters, arguments)                                          \
	result fluxcap_##name parameters                                                       \
	{                                                                                      \
		return name arguments;                                                         \
	}

CALLS(POINTER)

/* Sets where calls of a function go to. */
int connect_call(const char *name, const void *function)
{
	CALLS(CONNECT)
	return -1;
}

#pragma GCC visibility push(hidden)

CALLS(FUNCTION)
