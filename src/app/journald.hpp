// systemd's journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
#pragma once

#include "pgmend/app/log_format.hpp"

#include <string>
#include <string_view>

namespace pgmend::app {

/// Whether `descriptor` is the stream that systemd made for standard error: JOURNAL_STREAM names its device and inode.
[[nodiscard]] bool is_journal(int descriptor);

/// One entry: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, PGMEND_EVENT, and each field as PGMEND_<FIELD>.
[[nodiscard]] std::string format_journal(base::log_level level, std::string_view event, std::span<base::log_field const> fields);

/// A datagram socket to the journal, to be closed; -1: there is none.
[[nodiscard]] int open_journal(char const* path = "/run/systemd/journal/socket");

} // namespace pgmend::app
