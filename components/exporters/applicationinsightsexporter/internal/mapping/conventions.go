// SPDX-License-Identifier: Apache-2.0

package mapping

// field is what an attribute of a span or record means, whichever version of the semantic conventions names it.
type field uint8

const (
	noField field = iota
	fieldMethod
	fieldStatus
	fieldURL
	fieldScheme
	fieldPath
	fieldQuery
	fieldHTTPTarget
	fieldHTTPHost
	fieldRoute
	fieldURLTemplate
	fieldServerAddress
	fieldServerPort
	fieldNetPeerName
	fieldNetPeerPort
	fieldNetHostName
	fieldNetHostPort
	fieldPeerAddress
	fieldPeerPort
	fieldClientAddress
	fieldPeerService
	fieldRPCSystem
	fieldRPCService
	fieldRPCMethod
	fieldGRPCStatus
	fieldRPCStatus
	fieldDBStatus
	fieldDBSystem
	fieldDBNamespace
	fieldDBText
	fieldDBSummary
	fieldDBOperation
	fieldDBCollection
	fieldMessagingSystem
	fieldMessagingDestination
	fieldMessagingTemplate
	fieldAzureNamespace
	fieldErrorType
	fieldFlags
	fieldUpstreamCluster
	fieldSynthetic
	fieldOriginalKind
	fieldNoise
	fieldUser
	fieldPseudoUser
	fieldSession
	fieldSampleRate
	fieldWeight
	fieldThreshold
	fieldGenAI
	fieldFunction
	fieldOperationName
	fieldExceptionType
	fieldExceptionMessage
	fieldExceptionStack
	fieldSourceService
	fieldSourceWorkload
	fieldSourceNamespace
	fieldSourceCluster
	fieldSourceRegion
	fieldSourceZone
	fieldSourceVersion
	fieldDestinationService
	fieldDestinationWorkload
	fieldDestinationNamespace
	fieldDestinationCluster
	fieldDestinationRegion
	fieldDestinationZone
	fieldDestinationVersion
	fieldCount
)

// conventions are the attributes with a meaning: semantic conventions 1.40, those before the HTTP, database and RPC
// conventions became stable (1.20 and earlier), those of the mesh (docs/attributes.md), and those of Azure's own
// distributions.
var conventions = map[string]rule{
	"http.request.method":       {field: fieldMethod, use: usedName},
	"http.method":               {field: fieldMethod, former: true, use: usedName},
	"http.response.status_code": {field: fieldStatus, use: usedResult},
	"http.status_code":          {field: fieldStatus, former: true, use: usedResult},
	"url.full":                  {field: fieldURL, use: usedURL},
	"http.url":                  {field: fieldURL, former: true, use: usedURL},
	"url.scheme":                {field: fieldScheme, use: usedURL},
	"http.scheme":               {field: fieldScheme, former: true, use: usedURL},
	"url.path":                  {field: fieldPath, use: usedURL},
	"url.query":                 {field: fieldQuery, use: usedURL},
	"http.target":               {field: fieldHTTPTarget, use: usedURL},
	"http.host":                 {field: fieldHTTPHost, use: usedURL},
	"http.route":                {field: fieldRoute, use: usedName},
	"url.template":              {field: fieldURLTemplate, use: usedName},

	"server.address":             {field: fieldServerAddress, use: usedServer},
	"server.port":                {field: fieldServerPort, use: usedServer},
	"http.server_name":           {field: fieldServerAddress, former: true, use: usedServer},
	"net.peer.name":              {field: fieldNetPeerName, use: usedServer},
	"net.peer.port":              {field: fieldNetPeerPort, use: usedServer},
	"net.host.name":              {field: fieldNetHostName, use: usedServer},
	"net.host.port":              {field: fieldNetHostPort, use: usedServer},
	"network.peer.address":       {field: fieldPeerAddress},
	"net.sock.peer.addr":         {field: fieldPeerAddress, former: true},
	"net.peer.ip":                {field: fieldPeerAddress, former: true},
	"network.peer.port":          {field: fieldPeerPort},
	"net.sock.peer.port":         {field: fieldPeerPort, former: true},
	"client.address":             {field: fieldClientAddress, use: usedClient},
	"http.client_ip":             {field: fieldClientAddress, former: true, use: usedClient},
	"service.peer.name":          {field: fieldPeerService},
	"peer.service":               {field: fieldPeerService, former: true},
	"rpc.system.name":            {field: fieldRPCSystem},
	"rpc.system":                 {field: fieldRPCSystem, former: true},
	"rpc.service":                {field: fieldRPCService, use: usedMethod},
	"rpc.method":                 {field: fieldRPCMethod, use: usedMethod},
	"rpc.grpc.status_code":       {field: fieldGRPCStatus, use: usedRPCResult},
	"rpc.response.status_code":   {field: fieldRPCStatus, use: usedRPCResult},
	"rpc.connect_rpc.error_code": {field: fieldRPCStatus, former: true, use: usedRPCResult},

	"db.system.name":          {field: fieldDBSystem, use: usedSystem},
	"db.system":               {field: fieldDBSystem, former: true, use: usedSystem},
	"db.response.status_code": {field: fieldDBStatus, use: usedDBResult},
	"db.cosmosdb.status_code": {field: fieldDBStatus, former: true, use: usedDBResult},
	"db.namespace":            {field: fieldDBNamespace, use: usedDatabase},
	"db.name":                 {field: fieldDBNamespace, former: true, use: usedDatabase},
	"db.query.text":           {field: fieldDBText, use: usedText},
	"db.statement":            {field: fieldDBText, former: true, use: usedText},
	"db.query.summary":        {field: fieldDBSummary},
	"db.operation.name":       {field: fieldDBOperation},
	"db.operation":            {field: fieldDBOperation, former: true},
	"db.collection.name":      {field: fieldDBCollection},
	"db.sql.table":            {field: fieldDBCollection, former: true},
	"db.mongodb.collection":   {field: fieldDBCollection, former: true},
	"db.connection_string":    {use: usedSecret},

	"messaging.system":               {field: fieldMessagingSystem, use: usedSystem},
	"messaging.destination.name":     {field: fieldMessagingDestination, use: usedQueue},
	"messaging.destination":          {field: fieldMessagingDestination, former: true, use: usedQueue},
	"messaging.destination.template": {field: fieldMessagingTemplate},

	"azure.resource_provider.namespace": {field: fieldAzureNamespace},
	"az.namespace":                      {field: fieldAzureNamespace, former: true},
	"microsoft.sample_rate":             {field: fieldSampleRate, use: usedRate},
	"_MS.sampleRate":                    {field: fieldSampleRate, former: true, use: usedRate},

	"sampling.threshold":       {field: fieldThreshold, use: usedRate},
	"gen_ai.provider.name":     {field: fieldGenAI, use: usedSystem},
	"gen_ai.system":            {field: fieldGenAI, former: true, use: usedSystem},
	"faas.invoked_name":        {field: fieldFunction},
	"microsoft.operation_name": {field: fieldOperationName, use: usedOperation},

	"error.type":                {field: fieldErrorType, use: usedErrorType},
	"envoy.response.flags":      {field: fieldFlags},
	"response_flags":            {field: fieldFlags, former: true},
	"envoy.upstream.cluster":    {field: fieldUpstreamCluster},
	"upstream_cluster":          {field: fieldUpstreamCluster, former: true},
	"user_agent.synthetic.type": {field: fieldSynthetic, use: usedSynthetic},
	"mesh.span.original_kind":   {field: fieldOriginalKind},
	"mesh.noise":                {field: fieldNoise},
	"enduser.id":                {field: fieldUser, use: usedUser},
	"user.id":                   {field: fieldUser, former: true, use: usedUser},
	"enduser.pseudo.id":         {field: fieldPseudoUser, use: usedUser},
	"session.id":                {field: fieldSession, use: usedSession},
	"exception.type":            {field: fieldExceptionType, use: usedException},
	"exception.message":         {field: fieldExceptionMessage, use: usedException},
	"exception.stacktrace":      {field: fieldExceptionStack, use: usedException},

	"mesh.source.service":        {field: fieldSourceService},
	"mesh.source.workload":       {field: fieldSourceWorkload},
	"mesh.source.namespace":      {field: fieldSourceNamespace},
	"mesh.source.cluster":        {field: fieldSourceCluster},
	"mesh.source.region":         {field: fieldSourceRegion},
	"mesh.source.zone":           {field: fieldSourceZone},
	"mesh.source.version":        {field: fieldSourceVersion},
	"mesh.destination.service":   {field: fieldDestinationService},
	"mesh.destination.workload":  {field: fieldDestinationWorkload},
	"mesh.destination.namespace": {field: fieldDestinationNamespace},
	"mesh.destination.cluster":   {field: fieldDestinationCluster},
	"mesh.destination.region":    {field: fieldDestinationRegion},
	"mesh.destination.zone":      {field: fieldDestinationZone},
	"mesh.destination.version":   {field: fieldDestinationVersion},

	// These have no meaning here; they are known because there are many of them.
	"mesh.source.network": {}, "mesh.source.principal": {}, "mesh.destination.network": {}, "mesh.destination.principal": {},
	"mesh.traffic.locality": {}, "mesh.traffic.cross_cluster": {}, "mesh.tls": {}, "mesh.via": {}, "mesh.resolution.source": {},
	"mesh.resolution.destination": {}, "mesh.upstream.host": {}, "mesh.upstream.workload": {}, "mesh.upstream.principal": {},
	"mesh.downstream.host": {}, "mesh.downstream.principal": {},

	"http.request.header.authorization":       {use: usedSecret},
	"http.request.header.proxy-authorization": {use: usedSecret},
	"http.request.header.cookie":              {use: usedSecret},
	"http.request.header.x-api-key":           {use: usedSecret},
	"http.request.header.x-functions-key":     {use: usedSecret},
	"http.response.header.set-cookie":         {use: usedSecret},

	// Of resources: what becomes a tag as it is.
	"service.version": {use: usedTag},
}

// source and destination are the ends of the call, as the mesh says.
func (a *attributes) source() end { return a.end(fieldSourceService) }

func (a *attributes) destination() end { return a.end(fieldDestinationService) }

// end reads the fields from that of the service on, whose order is that of endPart.
func (a *attributes) end(first field) (e end) {
	for part := partService; part < partCount; part++ {
		e[part] = a.text(first + field(part-partService))
	}
	return e
}
