// SPDX-License-Identifier: Apache-2.0

package replay

import "slices"

// Report is what became of the letters.
type Report struct {
	// Files is the number of files looked at, Removed of those that went since all of their letters were delivered.
	Files   int `json:"files"`
	Removed int `json:"files_removed"`
	// Busy are the files that another process replays just now; they were passed over.
	Busy []string `json:"files_busy,omitempty"`
	// Already is the number of letters that were delivered by a replay before and stand in files that are not done.
	Already int `json:"already_delivered"`
	// Matched is the number of other letters that the filter selected. Each was delivered, refused, passed over or left.
	Matched int `json:"matched"`
	// Delivered is the number that the endpoint accepted, or would be sent in a dry run.
	Delivered int `json:"delivered"`
	// Shifted is how many of those have another time now.
	Shifted int `json:"shifted"`
	// Uncertain is how many were sent with the outcome unknown; they may be stored twice.
	Uncertain int `json:"uncertain"`
	// Left is the number that was not sent, or not accepted, when the replay ended early. Those are letters still.
	Left int `json:"left"`
	// Refused are the letters that the endpoint refused again, and PassedOver those that were not sent, by the reason.
	Refused    []Count `json:"refused,omitempty"`
	PassedOver []Count `json:"passed_over,omitempty"`
	// Torn and Unreadable count what is no letter: see [deadletter.Damage].
	Torn       int `json:"torn"`
	Unreadable int `json:"unreadable"`
}

// Count is how many letters have one fate.
type Count struct {
	Why     string `json:"why"`
	Letters int    `json:"letters"`
}

// maxCounts limits the distinct reasons that are told apart.
const maxCounts = 50

// otherReasons stands for those beyond.
const otherReasons = "other reasons"

func add(counts *[]Count, why string, letters int) {
	i := slices.IndexFunc(*counts, func(c Count) bool { return c.Why == why })
	if i < 0 && len(*counts) >= maxCounts && why != otherReasons {
		add(counts, otherReasons, letters)
		return
	}
	if i < 0 {
		*counts = append(*counts, Count{why, letters})
		return
	}
	(*counts)[i].Letters += letters
}

func total(counts []Count) int {
	n := 0
	for _, c := range counts {
		n += c.Letters
	}
	return n
}

// Kept returns how many of the letters that matched are letters still.
func (r *Report) Kept() int { return r.Left + total(r.Refused) + total(r.PassedOver) }
