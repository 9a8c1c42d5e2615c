#ifndef BACKEND_LIBRARY_SERVICE_H_
#define BACKEND_LIBRARY_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.demo.v1.LibraryService, as its proto describes it.
std::unique_ptr<grpc::Service> MakeLibraryService();

}  // namespace headgate

#endif  // BACKEND_LIBRARY_SERVICE_H_
