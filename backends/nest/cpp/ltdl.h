// NEST's headers ask for that of libltdl, for this type alone.

#ifndef PORTABLE_CORTEX_LTDL_H
#define PORTABLE_CORTEX_LTDL_H

typedef struct lt__handle* lt_dlhandle;

#endif
