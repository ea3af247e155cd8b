// What is known of one session, for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgmend::net {

struct session_figures {
    std::uint64_t id{0}; ///< the same while the session lives
    bool logged_in{false};
    bool at_console{false}; ///< has no server
    std::string user;
    std::string database;
    std::string application_name;
    std::string client; ///< address:port
    std::string server; ///< address:port, or unix
    std::uint32_t server_process{0};
    bool client_tls{false};
    bool server_tls{false};
    std::string_view replication{"none"}; ///< or physical, logical
    std::chrono::system_clock::time_point connected; ///< of the client
};

} // namespace pgmend::net
