# cmake -DOUT=file.cpp -DDIR=folder -P embed.cmake: the files of a folder as one table in C++.
file(GLOB files "${DIR}/*")
list(SORT files)
set(arrays "")
set(table "")
set(n 0)
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME)
  get_filename_component(ending "${file}" LAST_EXT)
  if(ending STREQUAL ".html")
    set(type "text/html; charset=utf-8")
  elseif(ending STREQUAL ".css")
    set(type "text/css; charset=utf-8")
  elseif(ending STREQUAL ".js")
    set(type "text/javascript; charset=utf-8")
  elseif(ending STREQUAL ".svg")
    set(type "image/svg+xml")
  else()
    message(FATAL_ERROR "${file}: what is it?")
  endif()
  file(READ "${file}" bytes HEX)
  file(SHA256 "${file}" tag)
  string(SUBSTRING "${tag}" 0 16 tag)
  string(LENGTH "${bytes}" length)
  math(EXPR length "${length} / 2")
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char content_${n}[] = {${bytes}'\\0'};\n")
  string(APPEND table "    {\"/${name}\", \"${type}\", {content_${n}, ${length}}, \"${tag}\"},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE "${OUT}" "// Made by cmake/embed.cmake.
#include \"admin/http_routes.hpp\"

namespace pgmend::admin {
namespace {

${arrays}
constexpr page_file files[] = {
${table}};

} // namespace

page_file const* find_page_file(std::string_view path) {
    if (path == \"/\") path = \"/index.html\";
    for (auto const& file : files)
        if (file.name == path) return &file;
    return nullptr;
}

} // namespace pgmend::admin
")
