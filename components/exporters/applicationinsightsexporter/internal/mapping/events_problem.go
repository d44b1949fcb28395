// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
)

// maxProblemLines is how much of a stack is searched for a frame.
const maxProblemLines = 64

// problemID returns what groups equal errors: the type, and the method of the innermost frame of the stack, without file
// and line, which change with each build. Without a frame that can be read it is the type alone, and without a type the
// frame.
func problemID(typeName, stack string) string {
	frame := innermostFrame(stack)
	switch {
	case frame == "":
		return typeName
	case typeName == "":
		return frame
	default:
		return typeName + " at " + frame
	}
}

// innermostFrame finds the method that failed in a stack trace as text: the first "at method" of Java, .NET and JavaScript;
// the last `File "…", line …, in method` of Python; the first method with its file below it of Go.
func innermostFrame(stack string) string {
	var python, previous string
	for line := range strings.Lines(firstLines(stack)) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "at "):
			return methodOf(trimmed[len("at "):])
		case strings.HasPrefix(trimmed, `File "`):
			if _, method, ok := strings.Cut(trimmed, ", in "); ok {
				python = method
			}
		case strings.HasPrefix(line, "\t") && strings.Contains(trimmed, ".go:") && previous != "":
			return methodOf(previous)
		}
		previous = trimmed
	}
	return python
}

// firstLines cuts a stack; for Python's, whose innermost frame is the last, it keeps the end.
func firstLines(stack string) string {
	if strings.HasPrefix(stack, "Traceback ") {
		end := len(stack)
		for range maxProblemLines {
			at := strings.LastIndexByte(stack[:end], '\n')
			if at < 0 {
				return stack
			}
			end = at
		}
		return stack[end+1:]
	}
	end := 0
	for range maxProblemLines {
		at := strings.IndexByte(stack[end:], '\n')
		if at < 0 {
			return stack
		}
		end += at + 1
	}
	return stack[:end]
}

// methodOf cuts arguments, file and line off a frame: "a.B.c(D.java:12)", "A.B.C(String d) in e.cs:line 12",
// "main.(*server).serve(0xc000010000)", "async f (file.js:1:2)". A function of JavaScript without a name is its file.
func methodOf(frame string) string {
	frame, _, _ = strings.Cut(frame, " in ")
	frame = strings.TrimPrefix(frame, "async ")
	// The receiver of a method of Go stands in parentheses too, so the last ones are the arguments.
	if at := strings.LastIndexByte(frame, '('); at > 0 {
		frame = frame[:at]
	} else {
		frame = withoutPlace(withoutPlace(frame))
	}
	return strings.TrimSpace(frame)
}

// withoutPlace cuts off a number behind a colon: of the line, or of the column.
func withoutPlace(file string) string {
	colon := strings.LastIndexByte(file, ':')
	if colon < 0 || strings.Trim(file[colon+1:], "0123456789") != "" {
		return file
	}
	return file[:colon]
}
