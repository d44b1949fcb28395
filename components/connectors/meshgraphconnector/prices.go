// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

func (e *engine) refreshPrices() {
	prices, err := e.prices.Changed()
	switch {
	case err != nil:
		e.log.Warn("The table of prices cannot be read; the one before stays.", zap.Error(err))
		e.ledger.SetProblem(err)
	case prices != nil:
		e.log.Info("The table of prices was read anew.", zap.Time("date", prices.Date()))
		e.ledger.SetPrices(prices)
		e.doubt(prices, time.Now())
	}
}

// doubt tells what is doubtful about the prices.
func (e *engine) doubt(prices *price.Prices, now time.Time) {
	for _, sentence := range ledger.Warnings(prices, now) {
		e.log.Warn(sentence)
	}
}
