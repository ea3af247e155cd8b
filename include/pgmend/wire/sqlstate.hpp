// The SQLSTATEs that pgmend sends or decides by (PostgreSQL documentation, appendix A).
#pragma once

#include <string_view>

namespace pgmend::wire::sqlstate {

inline constexpr std::string_view connection_failure = "08006";
inline constexpr std::string_view cannot_connect = "08001";
inline constexpr std::string_view protocol_violation = "08P01";
inline constexpr std::string_view too_many_prepared = "54000";
inline constexpr std::string_view unknown_statement = "26000";
inline constexpr std::string_view unknown_portal = "34000";
inline constexpr std::string_view duplicate_statement = "42P05";
inline constexpr std::string_view duplicate_portal = "42P03";
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view wrong_state = "55000";
inline constexpr std::string_view feature_not_supported = "0A000";
inline constexpr std::string_view invalid_authorization = "28000";
inline constexpr std::string_view undefined_table = "42P01";
inline constexpr std::string_view undefined_column = "42703";
inline constexpr std::string_view ambiguous_column = "42702";
inline constexpr std::string_view undefined_function = "42883";
inline constexpr std::string_view ambiguous_function = "42725";
inline constexpr std::string_view undefined_object = "42704";
inline constexpr std::string_view datatype_mismatch = "42804";
inline constexpr std::string_view indeterminate_datatype = "42P18";
inline constexpr std::string_view ambiguous_parameter = "42P08";
inline constexpr std::string_view invalid_column_reference = "42P10";
inline constexpr std::string_view syntax_error = "42601";
inline constexpr std::string_view generated_always = "428C9";
inline constexpr std::string_view not_null_violation = "23502";
inline constexpr std::string_view invalid_text_representation = "22P02";
inline constexpr std::string_view invalid_schema_name = "3F000";
inline constexpr std::string_view too_many_connections = "53300";
inline constexpr std::string_view admin_shutdown = "57P01";
inline constexpr std::string_view cannot_connect_now = "57P03";

} // namespace pgmend::wire::sqlstate
