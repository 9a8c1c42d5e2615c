// The services of ../test_published_apis.py by grpc-go, with its reflection:
// `server`. They answer with what they were asked.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/golang/protobuf/proto"
	"github.com/golang/protobuf/ptypes"
	"github.com/golang/protobuf/ptypes/any"
	"github.com/golang/protobuf/ptypes/empty"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"documents"
	"longrunning"
	"mixins"
)

func pack(message proto.Message) *any.Any {
	packed, err := ptypes.MarshalAny(message)
	if err != nil {
		panic(err)
	}
	return packed
}

type operations struct{}

func (operations) ListOperations(_ context.Context, q *longrunning.ListOperationsRequest) (*longrunning.ListOperationsResponse, error) {
	response := &longrunning.ListOperationsResponse{NextPageToken: q.PageToken}
	for i := int32(0); i < q.PageSize; i++ {
		response.Operations = append(response.Operations, &longrunning.Operation{Name: q.Filter})
	}
	return response, nil
}

func (operations) GetOperation(_ context.Context, q *longrunning.GetOperationRequest) (*longrunning.Operation, error) {
	operation := &longrunning.Operation{
		Name: q.Name, Done: true,
		Metadata: pack(&documents.ExportMetadata{Collection: "c", DoneBytes: 1<<53 + 1})}
	if strings.HasSuffix(q.Name, "failed") {
		operation.Result = &longrunning.Operation_Error{Error: &rpc.Status{
			Code: 9, Message: "no room", Details: []*any.Any{pack(&documents.ExportMetadata{})}}}
	} else {
		operation.Result = &longrunning.Operation_Response{Response: pack(&documents.Document{Name: "exported"})}
	}
	return operation, nil
}

func (operations) CancelOperation(_ context.Context, q *longrunning.CancelOperationRequest) (*empty.Empty, error) {
	return nil, status.Error(codes.FailedPrecondition, q.Name)
}

func (operations) WaitOperation(_ context.Context, q *longrunning.WaitOperationRequest) (*longrunning.Operation, error) {
	return &longrunning.Operation{Name: fmt.Sprintf("%s %d", q.Name, q.Timeout.GetSeconds())}, nil
}

type store struct{}

func text(value string) *documents.Value {
	return &documents.Value{ValueType: &documents.Value_StringValue{StringValue: value}}
}

func (store) GetDocument(_ context.Context, q *documents.GetDocumentRequest) (*documents.Document, error) {
	document := &documents.Document{Name: q.Name, Fields: map[string]*documents.Value{}, CreateTime: q.GetReadTime()}
	for _, path := range q.Mask.GetFieldPaths() {
		document.Fields[path] = text(path)
	}
	return document, nil
}

func (store) CreateDocument(_ context.Context, q *documents.CreateDocumentRequest) (*documents.Document, error) {
	document := q.Document
	if document == nil {
		document = &documents.Document{}
	}
	document.Name = strings.Join([]string{q.Parent, q.CollectionId, q.DocumentId}, "|")
	return document, nil
}

func (store) UpdateDocument(_ context.Context, q *documents.UpdateDocumentRequest) (*documents.Document, error) {
	mask := &documents.ArrayValue{}
	for _, path := range q.UpdateMask.GetPaths() {
		mask.Values = append(mask.Values, text(path))
	}
	fields := q.Document.Fields
	fields["mask"] = &documents.Value{ValueType: &documents.Value_ArrayValue{ArrayValue: mask}}
	if q.MustExist != nil {
		fields["must"] = &documents.Value{ValueType: &documents.Value_BooleanValue{BooleanValue: q.MustExist.Value}}
	}
	return q.Document, nil
}

func (store) DeleteDocument(context.Context, *documents.GetDocumentRequest) (*empty.Empty, error) {
	return &empty.Empty{}, nil
}

func (store) RunQuery(q *documents.RunQueryRequest, stream documents.Documents_RunQueryServer) error {
	query := q.GetStructuredQuery()
	for i := int32(0); i < query.Limit.GetValue(); i++ {
		name := fmt.Sprintf("%s/%s/%d", q.Parent, query.Collection, i)
		if err := stream.Send(&documents.RunQueryResponse{Document: &documents.Document{Name: name}}); err != nil {
			return err
		}
	}
	return nil
}

func (store) Write(stream documents.Documents_WriteServer) error {
	for {
		q, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		response := &documents.WriteResponse{StreamId: q.Database, Count: int32(len(q.Writes))}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (store) ExportDocuments(_ context.Context, q *documents.ExportRequest) (*longrunning.Operation, error) {
	collections := strings.Join(q.CollectionIds, ",")
	return &longrunning.Operation{
		Name: q.Name + "/operations/1", Metadata: pack(&documents.ExportMetadata{Collection: collections})}, nil
}

type locations struct{}

func (locations) ListLocations(_ context.Context, q *mixins.ListLocationsRequest) (*mixins.ListLocationsResponse, error) {
	response := &mixins.ListLocationsResponse{}
	for i := int32(0); i < q.PageSize; i++ {
		response.Locations = append(response.Locations, &mixins.Location{Name: fmt.Sprintf("%s/locations/%d", q.Name, i)})
	}
	return response, nil
}

// Sends the metadata x-ask and x-ask-bin back, before and after its response.
func (locations) GetLocation(c context.Context, q *mixins.GetLocationRequest) (*mixins.Location, error) {
	asked, _ := metadata.FromIncomingContext(c)
	back := metadata.MD{}
	for key, to := range map[string]string{"x-ask": "x-told", "x-ask-bin": "x-told-bin"} {
		if values := asked.Get(key); len(values) > 0 {
			back[to] = values
		}
	}
	if err := grpc.SetHeader(c, back); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(c, back); err != nil {
		return nil, err
	}
	return &mixins.Location{Name: q.Name, Labels: map[string]string{"a": "b"}}, nil
}

type policies struct{}

func (policies) SetPolicy(_ context.Context, q *mixins.SetPolicyRequest) (*mixins.Policy, error) {
	return q.Policy, nil
}

func (policies) GetPolicy(_ context.Context, q *mixins.GetPolicyRequest) (*mixins.Policy, error) {
	version := fmt.Sprint(q.Options.GetRequestedPolicyVersion())
	return &mixins.Policy{Bindings: []*mixins.Binding{{Role: q.Resource, Members: []string{version}}}}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer()
	longrunning.RegisterOperationsServer(server, operations{})
	documents.RegisterDocumentsServer(server, store{})
	mixins.RegisterLocationsServer(server, locations{})
	mixins.RegisterPoliciesServer(server, policies{})
	reflection.Register(server)
	go server.Serve(listener)
	fmt.Println("listening on", listener.Addr())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	server.Stop()
}
