// SPDX-License-Identifier: Apache-2.0

package mapping

// shape is which of the semantic conventions a span follows.
type shape uint8

const (
	shapeOther shape = iota
	shapeHTTP
	shapeRPC
	shapeDatabase
	shapeMessaging
)

// shapeOf tells the conventions of a span. Many databases and brokers are spoken to over HTTP, and gRPC is; then HTTP is
// the lesser truth, as it is for Envoy's spans of gRPC calls, which have both.
func shapeOf(a *attributes) shape {
	switch {
	case a.text(fieldDBSystem) != "":
		return shapeDatabase
	case a.text(fieldMessagingSystem) != "":
		return shapeMessaging
	case a.text(fieldRPCSystem) != "":
		return shapeRPC
	case a.text(fieldMethod) != "" || a.has(fieldStatus) || a.has(fieldHTTPTarget) || a.has(fieldUpstreamCluster):
		// A gateway's span of an attempt has no method, and Envoy traces HTTP only.
		return shapeHTTP
	default:
		return shapeOther
	}
}

const (
	inProcess    = "InProc"
	queueMessage = "Queue Message"
	generative   = "GenAI"
)

// dependencyType is the word for what was called, as far as possible one that the portal has an icon and a page for, and
// what stands before it. A model is one whatever it is spoken to over.
func dependencyType(s shape, a *attributes) (prefix, called string) {
	if provider := a.text(fieldGenAI); provider != "" {
		return generative, provider
	}
	switch s {
	case shapeHTTP:
		return "", "HTTP"
	case shapeRPC:
		return "", rpcType(a.text(fieldRPCSystem))
	case shapeDatabase:
		return "", databaseType(a.text(fieldDBSystem))
	case shapeMessaging:
		return "", azureType(a.text(fieldMessagingSystem))
	default:
		return "", azureType(a.text(fieldAzureNamespace))
	}
}

func rpcType(system string) string {
	switch system {
	case systemGRPC:
		return "GRPC"
	case "dotnet_wcf", "wcf":
		return "WCF Service"
	default:
		return system
	}
}

// databaseType calls relational databases SQL, as the portal does, but for those that it knows by name.
func databaseType(system string) string {
	switch system {
	case "microsoft.sql_server", "mssql", "mssqlcompact", "other_sql", "oracle.db", "oracle", "ibm.db2", "db2", "mariadb",
		"sap.hana", "hanadb", "sap.maxdb", "maxdb", "teradata", "sqlite", "hsqldb", "h2database", "h2", "derby", "firebirdsql",
		"interbase", "ingres", "sybase", "informix", "vertica", "netezza", "cockroachdb", "actian.ingres", "ibm.informix",
		"ibm.netezza", "softwareag.adabas", "adabas", "trino", "clickhouse", "aws.redshift", "redshift", "edb", "progress",
		"pervasive", "filemaker", "firstsql", "pointbase", "cloudscape", "instantdb", "coldfusion", "hive", "gcp.spanner",
		"spanner":
		return "SQL"
	case "azure.cosmosdb", "cosmosdb":
		return "Azure DocumentDB"
	default:
		return system // mysql, postgresql, mongodb, redis and cassandra are the portal's own words
	}
}

// azureType gives Azure's messaging services and resource providers the names that the portal knows.
func azureType(name string) string {
	switch name {
	case "servicebus", "Microsoft.ServiceBus":
		return "Azure Service Bus"
	case "eventhubs", "Microsoft.EventHub":
		return "Azure Event Hubs"
	default:
		return name
	}
}
