# Writes ${OUTPUT}, a C++ source with the text of ${FILES}: cmake -P.
set(entries "")
separate_arguments(FILES)
foreach(path IN LISTS FILES)
  get_filename_component(name "${path}" NAME)
  file(READ "${path}" text)
  string(FIND "${text}" ")asset\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${path} has the delimiter of raw strings")
  endif()
  string(APPEND entries "    {\"${name}\", R\"asset(${text})asset\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"gateway/console/assets.h\"

namespace headgate {

const ConsoleAsset* FindConsoleAsset(absl::string_view name) {
  static constexpr ConsoleAsset kAssets[] = {
${entries}  };
  for (const ConsoleAsset& asset : kAssets) {
    if (asset.name == name) return &asset;
  }
  return nullptr;
}

}  // namespace headgate
")
