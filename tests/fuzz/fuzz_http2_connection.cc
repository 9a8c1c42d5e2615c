// See fuzz_connection.cc.
#define HEADGATE_FUZZ_HTTP2
#include "tests/fuzz/fuzz_connection.cc"
