// Command control is a Tailscale control server for tests: one tailnet in memory that admits
// every client and hands out the DERP map it was given last. It stands on Tailscale's own
// testcontrol package.
//
//	GET  ADMIN/nodes     the clients that registered: key, name, addresses, home region
//	GET  ADMIN/derpmap   the DERP map in force
//	POST ADMIN/derpmap   a new tailcfg.DERPMap, sent to every client at once
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

// node is what a test wants to know of a client.
type node struct {
	Key       key.NodePublic `json:"key"`
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
	Home      int            `json:"home"` // region ID, 0 when it has none
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9800", "address that clients log in to")
	admin := flag.String("admin", "127.0.0.1:9801", "address that the test talks to")
	flag.Parse()

	server := &testcontrol.Server{
		DERPMap: &tailcfg.DERPMap{OmitDefaultRegions: true},
		Logf:    log.Printf,
	}
	clients := httptest.NewUnstartedServer(server)
	clients.Listener.Close()
	clients.Listener = mustListen(*listen)
	server.HTTPTestServer = clients
	clients.Start()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /nodes", func(w http.ResponseWriter, r *http.Request) {
		nodes := []node{}
		for _, n := range server.AllNodes() {
			nodes = append(nodes, node{n.Key, n.Hostinfo.Hostname(), n.Addresses, n.HomeDERP})
		}
		answer(w, nodes)
	})
	mux.HandleFunc("GET /derpmap", func(w http.ResponseWriter, r *http.Request) {
		answer(w, server.DERPMap)
	})
	mux.HandleFunc("POST /derpmap", func(w http.ResponseWriter, r *http.Request) {
		next := new(tailcfg.DERPMap)
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(next); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		server.DERPMap = next
		// Any change of the server's own wakes every client with a full map. AddRawMapResponse
		// would not do: it ends the automatic updates, and peers no longer learn each other's
		// home relay.
		server.SetGlobalAppCaps(nil)
		answer(w, struct{}{})
	})
	log.Fatal(http.Serve(mustListen(*admin), mux))
}

func mustListen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("answer: %v", err)
	}
}
