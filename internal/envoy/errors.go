// SPDX-License-Identifier: Apache-2.0

package envoy

import "errors"

// Error says that a text is not of the format that a parser reads. Errors of this package are package level values, so
// that to refuse a text costs nothing, and name no part of the text. errors.Is finds the format by its general value,
// such as [ErrPeer], whatever the reason.
type Error struct {
	// Format is what the text is not, with its article: "an Istio node id".
	Format string
	// Reason is why, from a short fixed list that fits an attribute of a counter: "too_large". It is empty if there is
	// no more to say than that the text is of another form.
	Reason string
}

// Error returns the format and, if there is one, the reason.
func (e *Error) Error() string {
	if e.Reason == "" {
		return "not " + e.Format
	}
	return "not " + e.Format + ": " + e.Reason
}

// Is says that an error with a reason is also the general one of its format.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Format == e.Format && t.Reason == ""
}

// ErrorReason returns the reason of an error of this package, "" for one without a reason and for other errors.
func ErrorReason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}
