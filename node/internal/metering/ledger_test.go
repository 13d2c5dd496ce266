package metering

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"derpman/node/internal/client"
	"derpman/node/internal/protocol"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func openLedger(t *testing.T, path string, finished *[]protocol.FinishedStart) *Ledger {
	t.Helper()
	l, err := OpenLedger(path, func(s protocol.FinishedStart) { *finished = append(*finished, s) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTotalGoesOnOverStartsLessProbes(t *testing.T) {
	var finished []protocol.FinishedStart
	l := openLedger(t, filepath.Join(t.TempDir(), "counters"), &finished)
	l.Begin(1, 1, "a", noon)
	l.Note(1, "a", Reading{Sent: 108, Received: 90}, noon)
	l.Probed(1, "a", 8)
	l.Finish(1, false)
	l.Begin(1, 1, "b", noon)
	l.Note(1, "b", Reading{Sent: 50, Received: 50}, noon)
	if got := l.Total(1); got != 150 {
		t.Fatalf("total %d", got)
	}
	if len(finished) != 1 || finished[0].SentBytes != 108 || finished[0].ProbeBytes != 8 || finished[0].Gap {
		t.Fatalf("%+v", finished)
	}
}

func TestTotalNeverGoesDown(t *testing.T) {
	var finished []protocol.FinishedStart
	l := openLedger(t, filepath.Join(t.TempDir(), "counters"), &finished)
	l.Begin(1, 1, "a", noon)
	l.Note(1, "a", Reading{Sent: 100}, noon)
	before := l.Total(1)
	l.Probed(1, "a", 8) // known a moment after the reading that had it
	if now := l.Total(1); now < before {
		t.Fatalf("%d after %d", now, before)
	}
	l.Note(1, "a", Reading{Sent: 208}, noon)
	if now := l.Total(1); now != 200 {
		t.Fatalf("total %d", now)
	}
}

func TestReadingsOfAnotherStartAreNotMixedIn(t *testing.T) {
	var finished []protocol.FinishedStart
	l := openLedger(t, filepath.Join(t.TempDir(), "counters"), &finished)
	l.Begin(1, 1, "a", noon)
	l.Note(1, "a", Reading{Sent: 100}, noon)
	l.Begin(1, 1, "b", noon)
	l.Note(1, "a", Reading{Sent: 500}, noon) // late
	l.Note(1, "b", Reading{Sent: 7}, noon)
	l.Note(1, "b", Reading{Sent: 5}, noon) // goes backwards
	l.Probed(1, "a", 50)
	if got := l.Total(1); got != 107 {
		t.Fatalf("total %d", got)
	}
	if len(finished) != 1 || !finished[0].Gap {
		t.Fatalf("a start that was not seen to end: %+v", finished)
	}
}

func TestLedgerSurvivesAndGoesOn(t *testing.T) {
	var finished []protocol.FinishedStart
	path := filepath.Join(t.TempDir(), "counters")
	l := openLedger(t, path, &finished)
	l.Begin(1, 1, "a", noon)
	l.Begin(1, 1, "b", noon)
	l.Note(1, "b", Reading{Sent: 100, Received: 1}, noon)
	l.Save()
	again := openLedger(t, path, &finished)
	if again.Begin(1, 1, "b", noon) != "" {
		t.Fatal("the same start was finished")
	}
	again.Note(1, "b", Reading{Sent: 150, Received: 1}, noon)
	var status protocol.RelayStatus
	again.Report(1, &status)
	if status.TotalSentBytes != 150 || status.Restarts != 1 || *status.StartID != "b" || !status.StartedAt.Equal(noon) {
		t.Fatalf("%+v", status)
	}
	again.Begin(1, 2, "c", noon)
	again.Report(1, &status)
	if status.Restarts != 0 || status.TotalSentBytes != 150 {
		t.Fatalf("new generation: %+v", status)
	}
}

func TestRateIsOfTheLastReadings(t *testing.T) {
	var finished []protocol.FinishedStart
	l := openLedger(t, filepath.Join(t.TempDir(), "counters"), &finished)
	l.Begin(1, 1, "a", noon)
	l.Note(1, "a", Reading{Sent: 100}, noon)
	l.Note(1, "a", Reading{Sent: 4100}, noon.Add(2*time.Second))
	var status protocol.RelayStatus
	if l.Report(1, &status); status.RateBytesPerSecond != 2000 {
		t.Fatalf("rate %d", status.RateBytesPerSecond)
	}
	l.Note(1, "a", Reading{Sent: 4100}, noon.Add(3*time.Second))
	if l.Report(1, &status); status.RateBytesPerSecond != 0 {
		t.Fatalf("rate when idle %d", status.RateBytesPerSecond)
	}
}

func TestReadTakesDerpersCounters(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   Reading
		fails  bool
	}{
		"metrics":  {200, "# TYPE derp_bytes_sent counter\nderp_bytes_received 7\nderp_bytes_sent 9\nderp_bytes_sent_x 1\n", Reading{9, 7}, false},
		"missing":  {200, "derp_bytes_sent 9\n", Reading{}, true},
		"nonsense": {200, "derp_bytes_sent many\nderp_bytes_received 1\n", Reading{}, true},
		"denied":   {403, "derp_bytes_sent 9\nderp_bytes_received 1\n", Reading{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			relay := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			}))
			defer relay.Close()
			address, _ := url.Parse(relay.URL)
			port, _ := strconv.Atoi(address.Port())
			got, err := Read(context.Background(), &client.Target{Host: address.Hostname(), Port: port}, relay.Client())
			if (err != nil) != test.fails || got != test.want {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}
