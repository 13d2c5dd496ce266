package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailscale.com/types/key"
)

func question(device key.NodePublic) string {
	return fmt.Sprintf(`{"NodePublic":%q,"Source":"192.0.2.7"}`, device.String())
}

func ask(t *testing.T, s *Server, path, body string) (status int, allowed bool) {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	var answer struct{ Allow bool }
	if recorder.Code == http.StatusOK {
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
	}
	return recorder.Code, answer.Allow
}

func TestOnlyListedDevicesWithinTheirTimeAreAllowed(t *testing.T) {
	table := NewTable([]byte("secret"))
	s, door := NewServer(table), table.Door(1)
	listed, over, soon, unknown := key.NewNode().Public(), key.NewNode().Public(), key.NewNode().Public(), key.NewNode().Public()
	rules := &Rules{Devices: map[key.NodePublic]time.Time{
		listed: {}, over: time.Now().Add(-time.Second), soon: time.Now().Add(time.Hour),
	}}
	door.Set(rules)
	allows := func(device key.NodePublic) bool {
		_, allowed := ask(t, s, table.Path(1), question(device))
		return allowed
	}
	if allows(listed) {
		t.Error("a shut door lets in")
	}
	door.Open()
	if !allows(listed) || !allows(soon) || allows(over) || allows(unknown) {
		t.Error("wrong devices are let in")
	}
	door.Set(&Rules{Devices: rules.Devices, Expires: time.Now().Add(-time.Second)})
	if allows(listed) || allows(soon) {
		t.Error("an expired relay lets in")
	}
	stranger := key.NewNode().Public()
	door.Expect(stranger)
	allows(stranger)
	if admitted, refused := table.Answers(); admitted != 2 || refused != 5 {
		t.Errorf("%d let in and %d refused are counted", admitted, refused)
	}
	table.Remove(1)
	if status, _ := ask(t, s, table.Path(1), question(listed)); status != http.StatusNotFound {
		t.Errorf("status of a removed relay: %d", status)
	}
}

func TestKnocksAreOfUnknownKeysAlone(t *testing.T) {
	table := NewTable([]byte("secret"))
	s, door := NewServer(table), table.Door(1)
	over, unknown, probe := key.NewNode().Public(), key.NewNode().Public(), key.NewNode().Public()
	door.Set(&Rules{Devices: map[key.NodePublic]time.Time{over: time.Now().Add(-time.Second)}})
	ask(t, s, table.Path(1), question(unknown)) // shut
	door.Open()
	asked := door.Expect(probe)
	for _, device := range []key.NodePublic{over, unknown, probe, {}} {
		ask(t, s, table.Path(1), question(device))
	}
	if !asked() {
		t.Error("the probe was not noticed")
	}
	if len(s.knocks) != 1 {
		t.Fatalf("%d knocks", len(s.knocks))
	}
	if knock := <-s.knocks; knock.Key != unknown.String() || knock.Address != "192.0.2.7" || knock.Relay != 1 {
		t.Errorf("knock: %+v", knock)
	}
	if quiet := door.Expect(probe); quiet() {
		t.Error("a probe was noticed that did not come")
	}
}

func TestOnlyTheRelaysOwnAddressIsAnswered(t *testing.T) {
	table := NewTable([]byte("secret"))
	s, device := NewServer(table), key.NewNode().Public()
	for id := range int64(2) {
		door := table.Door(id + 1)
		door.Set(&Rules{Devices: map[key.NodePublic]time.Time{device: {}}})
		door.Open()
	}
	if table.Path(1) != NewTable([]byte("secret")).Path(1) || table.Path(1) == NewTable([]byte("other")).Path(1) {
		t.Error("the address must depend on the secret and on nothing else")
	}
	tokenOf2 := strings.TrimPrefix(table.Path(2), "/admit/2/")
	for _, path := range []string{"/", "/admit/1", "/admit/1/", "/admit/1/" + tokenOf2, "/admit/x/y", "/admit/3/" + tokenOf2, table.Path(1) + "/x"} {
		if status, _ := ask(t, s, path, question(device)); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, body := range []string{"", "{", `{"NodePublic":"mkey:00"}`, strings.Repeat("x", 1<<20)} {
		if status, allowed := ask(t, s, table.Path(1), body); status != http.StatusBadRequest || allowed {
			t.Errorf("%.20q: %d", body, status)
		}
	}
	if status, allowed := ask(t, s, table.Path(1), "{}"); status != http.StatusOK || allowed {
		t.Errorf("no key: %d %v", status, allowed)
	}
}

func TestFloodOfKnocksBlocksNobody(t *testing.T) {
	table := NewTable([]byte("secret"))
	s, door := NewServer(table), table.Door(1)
	door.Open()
	for range 3000 { // nobody listens
		ask(t, s, table.Path(1), question(key.NewNode().Public()))
	}
}

// BenchmarkAdmission asks a thousand times a second over real connections and
// reports the slowest hundredth, in milliseconds.
func BenchmarkAdmission(b *testing.B) {
	table := NewTable([]byte("secret"))
	s := NewServer(table)
	listed := key.NewNode().Public()
	for id := range int64(100) {
		door := table.Door(id + 1)
		door.Set(&Rules{Devices: map[key.NodePublic]time.Time{listed: {}}})
		door.Open()
	}
	server := httptest.NewServer(s)
	defer server.Close()
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	took := make([]time.Duration, b.N)
	var asking sync.WaitGroup
	begun := time.Now()
	for i := range b.N {
		due := begun.Add(time.Duration(i) * time.Millisecond)
		time.Sleep(time.Until(due))
		asking.Go(func() {
			response, err := c.Post(server.URL+table.Path(int64(i%100)+1), "", strings.NewReader(question(listed)))
			if err != nil {
				b.Error(err)
				return
			}
			response.Body.Close()
			took[i] = time.Since(due)
		})
	}
	asking.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
