// Command derpmap_go is the judge of the tests beside it: it reads documents as Tailscale and
// headscale do and says what they understood.
//
// Each line of standard input is {"form": "policy" | "json" | "yaml", "text": "…"}. Each line of
// standard output is {"error": "…"} or {"map": DERPMap}, where the map may be null.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/tailscale/hujson"
	"gopkg.in/yaml.v3"
	"tailscale.com/tailcfg"
)

type question struct {
	Form string `json:"form"`
	Text string `json:"text"`
}

type answer struct {
	Error string           `json:"error,omitempty"`
	Map   *tailcfg.DERPMap `json:"map"`
}

func understand(q question) (*tailcfg.DERPMap, error) {
	switch q.Form {
	case "policy":
		standard, err := hujson.Standardize([]byte(q.Text))
		if err != nil {
			return nil, err
		}
		var policy struct {
			DERPMap *tailcfg.DERPMap `json:"derpMap"`
		}
		err = json.Unmarshal(standard, &policy)
		return policy.DERPMap, err
	case "json":
		var m tailcfg.DERPMap
		err := json.Unmarshal([]byte(q.Text), &m)
		return &m, err
	case "yaml":
		var m tailcfg.DERPMap
		err := yaml.NewDecoder(strings.NewReader(q.Text)).Decode(&m)
		return &m, err
	}
	return nil, fmt.Errorf("no such form: %q", q.Form)
}

func main() {
	in := json.NewDecoder(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var q question
		if err := in.Decode(&q); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		m, err := understand(q)
		a := answer{Map: m}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := out.Encode(a); err != nil {
			log.Fatal(err)
		}
	}
}
