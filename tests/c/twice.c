/* The header in a second translation unit, twice: nothing is defined in it. */
#include <fluxcap.h>
#include <fluxcap.h>

const char *version_from_elsewhere(void);

const char *version_from_elsewhere(void)
{
    return fluxcap_version();
}
