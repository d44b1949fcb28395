// SPDX-License-Identifier: Apache-2.0

package appinsights

import "time"

// Limits of one item and of one request. All lengths are in characters.
const (
	// MaxItemBytes is the largest item, as JSON; documented as 64 KB and
	// answered with "Telemetry item length must not exceed 65536".
	MaxItemBytes = 65536
	// MaxItemsPerRequest is the documented number of items in one request.
	MaxItemsPerRequest = 64000
	// MaxItemAge is the oldest item the service takes: 172 800 000 ms.
	MaxItemAge = 48 * time.Hour
	// MaxDuration is the first duration that is too long: 1000 days.
	MaxDuration = 1000 * 24 * time.Hour

	MaxSeqLength           = 64    // Envelope.Seq
	MaxIDLength            = 512   // RequestData.ID, RemoteDependencyData.ID, AvailabilityData.ID
	MaxNameLength          = 1024  // Name of all but EventData
	MaxEventNameLength     = 512   // EventData.Name
	MaxNamespaceLength     = 256   // DataPoint.Namespace
	MaxResultCodeLength    = 1024  // RequestData.ResponseCode, RemoteDependencyData.ResultCode
	MaxSourceLength        = 1024  // RequestData.Source
	MaxURLLength           = 2048  // RequestData.URL
	MaxDataLength          = 8192  // RemoteDependencyData.Data
	MaxTypeLength          = 1024  // RemoteDependencyData.Type, ExceptionDetails.TypeName
	MaxTargetLength        = 1024  // RemoteDependencyData.Target
	MaxMessageLength       = 32768 // MessageData.Message, ExceptionDetails.Message
	MaxStackLength         = 32768 // ExceptionDetails.Stack
	MaxProblemIDLength     = 1024  // ExceptionData.ProblemID
	MaxPropertyKeyLength   = 150   // keys of Properties and Measurements
	MaxPropertyValueLength = 8192  // values of Properties
)

// Keys of [Envelope.Tags]: the context tag keys of the service.
const (
	TagApplicationVersion       = "ai.application.ver"
	TagCloudLocation            = "ai.cloud.location"
	TagCloudRole                = "ai.cloud.role"
	TagCloudRoleInstance        = "ai.cloud.roleInstance"
	TagCloudRoleVersion         = "ai.cloud.roleVer"
	TagDeviceID                 = "ai.device.id"
	TagDeviceModel              = "ai.device.model"
	TagDeviceOSVersion          = "ai.device.osVersion"
	TagDeviceType               = "ai.device.type"
	TagInternalAgentVersion     = "ai.internal.agentVersion"
	TagInternalNodeName         = "ai.internal.nodeName"
	TagInternalSDKVersion       = "ai.internal.sdkVersion"
	TagLocationIP               = "ai.location.ip"
	TagOperationID              = "ai.operation.id"
	TagOperationName            = "ai.operation.name"
	TagOperationParentID        = "ai.operation.parentId"
	TagOperationSyntheticSource = "ai.operation.syntheticSource"
	TagSessionID                = "ai.session.id"
	TagUserAccountID            = "ai.user.accountId"
	TagUserAuthUserID           = "ai.user.authUserId"
	TagUserID                   = "ai.user.id"
)

// MaxTagLengths holds the longest value of each tag that has a limit, as the
// contracts of the official clients list them. Do not change it.
var MaxTagLengths = map[string]int{
	TagApplicationVersion:       1024,
	TagCloudRole:                256,
	TagCloudRoleInstance:        256,
	TagDeviceID:                 1024,
	TagDeviceModel:              256,
	TagDeviceOSVersion:          256,
	TagDeviceType:               64,
	TagInternalAgentVersion:     64,
	TagInternalNodeName:         256,
	TagInternalSDKVersion:       64,
	TagLocationIP:               46,
	TagOperationID:              128,
	TagOperationName:            1024,
	TagOperationParentID:        128,
	TagOperationSyntheticSource: 1024,
	TagSessionID:                64,
	TagUserAccountID:            1024,
	TagUserAuthUserID:           1024,
	TagUserID:                   128,
}

// Paths and media types of the track operation.
const (
	// TrackPath is joined to the ingestion endpoint of a connection string.
	TrackPath = "/v2.1/track"
	// LegacyTrackPath is the path of older clients.
	LegacyTrackPath = "/v2/track"
	// ContentTypeJSON carries one JSON array of envelopes.
	ContentTypeJSON = "application/json"
	// ContentTypeLines carries one envelope a line.
	ContentTypeLines = "application/x-json-stream"
)

// Status codes the service uses beside those of HTTP.
const (
	// StatusQuotaExceeded says that the daily quota is used up.
	StatusQuotaExceeded = 439
	// StatusSampledOut, on an item, says that ingestion sampling dropped it: no
	// error, and nothing to send again.
	StatusSampledOut = 206
)

// Messages of item errors, as the service words them.
const (
	MessageItemTooLong = "Telemetry item length must not exceed 65536"
	MessageInvalidKey  = "Invalid instrumentation key"
	MessageSampledOut  = "Telemetry sampled out."
)

// TrackResponse is the answer to a track request: swagger TrackResponse.
type TrackResponse struct {
	// ItemsReceived is the number of items in the request.
	ItemsReceived int `json:"itemsReceived"`
	// ItemsAccepted is the number of items that were kept.
	ItemsAccepted int `json:"itemsAccepted"`
	// AppID is always null where it was seen. Not in the swagger file.
	AppID *string `json:"appId"`
	// Errors holds one entry for each item that was not accepted.
	Errors []ItemError `json:"errors"`
}

// ItemError says why one item was not accepted: swagger
// TelemetryErrorDetails.
type ItemError struct {
	// Index is the position of the item in the request, from 0. A client must
	// check it against what it sent.
	Index int `json:"index"`
	// StatusCode is what the status of the request would have been.
	StatusCode int `json:"statusCode"`
	// Message says why, in words.
	Message string `json:"message"`
}
