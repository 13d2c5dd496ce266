// Command load puts load on a node, a relay or an API and measures what comes back.
// Its wish is one JSON object on standard input, its result one on standard
// output.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 3 && os.Args[1] == "answer" {
		return http.ListenAndServe(os.Args[2], http.HandlerFunc(answer))
	}
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: load ask | flood | relay | answer ADDRESS")
	}
	wish := json.NewDecoder(os.Stdin)
	wish.DisallowUnknownFields()
	var (
		result any
		err    error
	)
	switch os.Args[1] {
	case "ask":
		var w askWish
		if err = wish.Decode(&w); err == nil {
			result, err = ask(w)
		}
	case "flood":
		var w floodWish
		if err = wish.Decode(&w); err == nil {
			result, err = flood(w)
		}
	case "relay":
		var w relayWish
		if err = wish.Decode(&w); err == nil {
			result, err = relay(w)
		}
	default:
		err = fmt.Errorf("unknown load %q", os.Args[1])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
