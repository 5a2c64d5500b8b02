// uWebSockets, as in its own examples: MODE [tls], prints the port it listens on.
#include <cstdio>
#include <cstring>
#include <string>

#include "App.h"

struct Nothing {};

// As many bytes as the largest message of all servers.
static constexpr unsigned MAX_MESSAGE = 64u << 20;

template <bool SSL>
static int serve(uWS::TemplatedApp<SSL> app, const std::string &mode) {
    using Socket = uWS::WebSocket<SSL, true, Nothing>;
    const bool broadcast = mode == "broadcast";
    auto compression = uWS::DISABLED;
    if (mode == "deflate") compression = uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR);
    if (mode == "deflate-takeover")
        compression = uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR);

    app.template ws<Nothing>("/*", {
        .compression = compression,
        .maxPayloadLength = MAX_MESSAGE,
        .idleTimeout = 120,
        .maxBackpressure = MAX_MESSAGE,
        .open = [broadcast](Socket *ws) {
            if (broadcast) ws->subscribe("all");
        },
        .message = [broadcast, &app](Socket *ws, std::string_view message, uWS::OpCode opcode) {
            if (broadcast) app.publish("all", message, opcode, false);
            else ws->send(message, opcode, true);
        },
    });
    app.listen("127.0.0.1", 0, [](us_listen_socket_t *listener) {
        if (listener == nullptr) std::exit(1);
        std::printf("%d\n", us_socket_local_port(SSL, reinterpret_cast<us_socket_t *>(listener)));
        std::fflush(stdout);
    });
    app.run();
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const bool tls = argc > 2 && std::strcmp(argv[2], "tls") == 0;
    if (tls) return serve<true>(uWS::SSLApp({.key_file_name = "key.pem", .cert_file_name = "cert.pem"}), argv[1]);
    return serve<false>(uWS::App(), argv[1]);
}
