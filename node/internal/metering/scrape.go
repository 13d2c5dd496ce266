// Package metering counts what relays send, over restarts of the relays, of
// the node and of the server.
package metering

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"

	"derpman/node/internal/client"
)

// Reading is derper's own count since its process started, in bytes of
// payload (frames, TLS and TCP/IP come on top on the wire).
type Reading struct{ Sent, Received int64 }

var (
	sentName     = []byte("derp_bytes_sent ")
	receivedName = []byte("derp_bytes_received ")
)

// Read asks a relay for its counters.
func Read(ctx context.Context, target *client.Target, through *http.Client) (Reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL("/debug/varz"), nil)
	if err != nil {
		return Reading{}, err
	}
	response, err := through.Do(request)
	if err != nil {
		return Reading{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Reading{}, fmt.Errorf("counters: status %d", response.StatusCode)
	}
	reading := Reading{Sent: -1, Received: -1}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() { // to the end, so that the connection can be used again
		if value, ok := bytes.CutPrefix(lines.Bytes(), sentName); ok {
			reading.Sent, err = strconv.ParseInt(string(value), 10, 64)
		} else if value, ok := bytes.CutPrefix(lines.Bytes(), receivedName); ok {
			reading.Received, err = strconv.ParseInt(string(value), 10, 64)
		}
		if err != nil {
			return Reading{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return Reading{}, err
	}
	if reading.Sent < 0 || reading.Received < 0 {
		return Reading{}, fmt.Errorf("counters are not among derper's metrics")
	}
	return reading, nil
}
