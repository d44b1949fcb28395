// SPDX-License-Identifier: Apache-2.0

package inventory

import "google.golang.org/protobuf/encoding/protowire"

// The field numbers of inventory.proto. A test holds them to that file.

const (
	inventoryStrings      protowire.Number = 1
	inventoryWorkloads    protowire.Number = 2
	inventoryFacts        protowire.Number = 3
	inventoryGateways     protowire.Number = 4
	inventoryFailovers    protowire.Number = 5
	inventoryNodes        protowire.Number = 6
	inventoryGoneNodes    protowire.Number = 7
	inventoryServices     protowire.Number = 8
	inventoryGoneServices protowire.Number = 9
	inventoryPods         protowire.Number = 10
	inventoryGonePods     protowire.Number = 11
	inventoryPastPods     protowire.Number = 12
	inventoryMore         protowire.Number = 13
	inventoryMade         protowire.Number = 14

	// inventoryFields is how many there are, for the table of counts.
	inventoryFields = 15
)

const (
	objectNamespace protowire.Number = 1
	objectName      protowire.Number = 2
)

const (
	workloadNamespace      protowire.Number = 1
	workloadName           protowire.Number = 2
	workloadKind           protowire.Number = 3
	workloadService        protowire.Number = 4
	workloadVersion        protowire.Number = 5
	workloadServiceAccount protowire.Number = 6
	workloadWaypoint       protowire.Number = 7
	workloadRevision       protowire.Number = 8
)

const (
	podWorkload    protowire.Number = 1
	podNamePrefix  protowire.Number = 2
	podNameSuffix  protowire.Number = 3
	podUID         protowire.Number = 4
	podAddresses   protowire.Number = 5
	podNode        protowire.Number = 6
	podNetwork     protowire.Number = 7
	podRegion      protowire.Number = 8
	podZone        protowire.Number = 9
	podHostNetwork protowire.Number = 10
	podSince       protowire.Number = 11
	podSeen        protowire.Number = 12
	podEarliest    protowire.Number = 13
	podLatest      protowire.Number = 14
	podGap         protowire.Number = 15
	podUnseen      protowire.Number = 16
)

const (
	endNamespace  protowire.Number = 1
	endNamePrefix protowire.Number = 2
	endNameSuffix protowire.Number = 3
	endUID        protowire.Number = 4
	endEarliest   protowire.Number = 5
	endLatest     protowire.Number = 6
	endGap        protowire.Number = 7
)

const (
	nodeName      protowire.Number = 1
	nodeZone      protowire.Number = 2
	nodeRegion    protowire.Number = 3
	nodeAddresses protowire.Number = 4
)

const (
	serviceNamespace      protowire.Number = 1
	serviceName           protowire.Number = 2
	serviceAddresses      protowire.Number = 3
	servicePorts          protowire.Number = 4
	serviceHosts          protowire.Number = 5
	serviceExternal       protowire.Number = 6
	serviceEndpoints      protowire.Number = 7
	serviceEndpointsKnown protowire.Number = 8
	serviceEndingKnown    protowire.Number = 9
	serviceCanonical      protowire.Number = 10
)

const (
	endpointsZone   protowire.Number = 1
	endpointsReady  protowire.Number = 2
	endpointsTotal  protowire.Number = 3
	endpointsEnding protowire.Number = 4
)

// listItems is the only field of Gateways and of Failovers.
const listItems protowire.Number = 1

const (
	gatewayNamespace protowire.Number = 1
	gatewayName      protowire.Number = 2
	gatewayAddresses protowire.Number = 3
	gatewayPort      protowire.Number = 4
	gatewayNetwork   protowire.Number = 5
	gatewayRemote    protowire.Number = 6
)

const (
	failoverNamespace        protowire.Number = 1
	failoverName             protowire.Number = 2
	failoverHost             protowire.Number = 3
	failoverFrom             protowire.Number = 4
	failoverTo               protowire.Number = 5
	failoverPriority         protowire.Number = 6
	failoverDisabled         protowire.Number = 7
	failoverOutlierDetection protowire.Number = 8
)

const (
	factsUID               protowire.Number = 1
	factsRegion            protowire.Number = 2
	factsZones             protowire.Number = 3
	factsProvider          protowire.Number = 4
	factsPlatform          protowire.Number = 5
	factsNetwork           protowire.Number = 6
	factsMeshID            protowire.Number = 7
	factsTrustDomain       protowire.Number = 8
	factsKubernetesVersion protowire.Number = 9
	factsIstio             protowire.Number = 10
	factsPodCIDRs          protowire.Number = 11
)

const (
	revisionRevision protowire.Number = 1
	revisionVersion  protowire.Number = 2
	revisionTags     protowire.Number = 3
)

const (
	frameCluster  protowire.Number = 1
	frameUID      protowire.Number = 2
	frameEpoch    protowire.Number = 3
	frameSequence protowire.Number = 4
	frameAt       protowire.Number = 5
	frameComplete protowire.Number = 6
	framePart     protowire.Number = 7
	frameParts    protowire.Number = 8
	frameBody     protowire.Number = 9
)
