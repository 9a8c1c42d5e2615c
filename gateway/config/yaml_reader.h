#ifndef GATEWAY_CONFIG_YAML_READER_H_
#define GATEWAY_CONFIG_YAML_READER_H_

#include <string>
#include <vector>

#include "gateway/config/substitution.h"
#include "gateway/config/yaml_document.h"
#include "google/protobuf/message.h"

namespace headgate {

// A fault with its place.
struct YamlFault {
  TextPosition position;
  std::string path;  // "routes[2].upsteam"; empty: the whole document.
  std::string text;
};

// Reads a document into `message`, a message whose fields are of type string,
// bool, uint32 and enum, lists and maps of those, and messages of such: keys
// are the names of fields, enum values lower case with dashes ("round-robin"
// for LOAD_BALANCING_ROUND_ROBIN). Every value goes through Substitute.
//
// A field that has a fault stays unset; the faults come in the document's
// order. Throws nothing. At most half a million nodes and 16 MiB of text are
// read, however often aliases repeat them; more is a fault.
std::vector<YamlFault> ReadYaml(const YamlDocument& document,
                                const Environment& environment,
                                google::protobuf::Message& message);

// Reads what is under one key of the document, whatever else it has, by the
// same rules, but that keys may also be the fields' names in JSON, and that
// nothing is substituted.
std::vector<YamlFault> ReadYamlMember(const YamlDocument& document,
                                      const std::string& key,
                                      google::protobuf::Message& message);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_YAML_READER_H_
