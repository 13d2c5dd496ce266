package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"derpman/node/internal/protocol"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path, func() string { return "epoch" }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestCursorGivesOnlyWhatIsNew(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	j.Event(1, "one", nil)
	first := j.Since("")
	j.Event(2, "two", nil)
	j.Removed(3)
	second := j.Since(first.Cursor)
	if len(first.Events) != 1 || len(second.Events) != 1 || second.Events[0].Kind != "two" || second.Removed[0] != 3 {
		t.Fatalf("%+v %+v", first, second)
	}
	for _, unknown := range []string{"other:1", "epoch:999", "epoch:-1", "nonsense", "epoch:x", ":"} {
		if all := j.Since(unknown); len(all.Events) != 2 {
			t.Errorf("%q gives %d events", unknown, len(all.Events))
		}
	}
}

func TestEntriesSurviveACrashAndNumbersAreNeverUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	j.Event(1, "before", nil)
	j.Knock(1, "nodekey:a", "192.0.2.1", noon)
	told := j.Since("").Cursor
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, `{"seq":3,"event":{"se`) // torn by a loss of power
	file.Close()
	again := open(t, path)
	if page := again.Since(""); len(page.Events) != 1 || len(page.Knocks) != 1 {
		t.Fatalf("%+v", page)
	}
	again.Event(1, "after", nil)
	page := again.Since(told)
	if len(page.Events) != 1 || page.Events[0].Kind != "after" {
		t.Fatalf("after the crash, since %s: %+v", told, page)
	}
}

func TestNumbersOfLostLinesAreSkipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j.Event(1, "never synced", nil)
	told := j.Since("").Cursor
	if err := os.WriteFile(path, before, 0o600); err != nil { // as a loss of power leaves it
		t.Fatal(err)
	}
	again := open(t, path)
	again.Event(1, "new", nil)
	if page := again.Since(told); len(page.Events) != 1 {
		t.Fatalf("the panel would miss what comes: %+v", page)
	}
}

func TestKnocksOfOneKeyAreOneEntry(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	j.Knock(1, "nodekey:a", "192.0.2.1", noon)
	cursor := j.Since("").Cursor
	for i := range 6 { // the pace of a refused client
		j.Knock(1, "nodekey:a", "192.0.2.2", noon.Add(time.Duration(i+1)*5*time.Second))
	}
	page := j.Since(cursor)
	if len(page.Knocks) != 1 {
		t.Fatalf("told %d times within 30 s", len(page.Knocks))
	}
	k := page.Knocks[0]
	if k.Count != 7 || k.Address != "192.0.2.2" || !k.FirstAt.Equal(noon) || !k.LastAt.Equal(noon.Add(30*time.Second)) {
		t.Fatalf("%+v", k)
	}
	if all := j.Since(""); len(all.Knocks) != 1 {
		t.Fatalf("kept %d times", len(all.Knocks))
	}
	j.Removed(1)
	if all := j.Since(""); len(all.Knocks) != 0 {
		t.Fatal("knocks outlive their relay")
	}
}

func TestFloodOfKeysIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for i := range 200_000 {
		// A thousand made-up keys per second.
		j.Knock(1, "nodekey:"+strconv.Itoa(i), "192.0.2.1", noon.Add(time.Duration(i)*time.Millisecond))
	}
	keys := j.knocks[1].byKey
	if len(keys) > KnocksPerRelay {
		t.Fatalf("%d keys", len(keys))
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 2<<20 {
		t.Fatalf("%v, %d bytes", err, info.Size())
	}
	if len(j.entries) > 5*KnocksPerRelay {
		t.Fatalf("%d entries", len(j.entries))
	}
	if again := open(t, path); len(again.Since("").Knocks) != len(keys) {
		t.Fatalf("%d knocks after reading again, %d before", len(again.Since("").Knocks), len(keys))
	}
}

func TestFloodFromOneNetworkKeepsNobodyElseOut(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	for i := range 60_000 { // a minute of a thousand made-up keys per second, from one network each way
		at := noon.Add(time.Duration(i) * time.Millisecond)
		j.Knock(1, "nodekey:four"+strconv.Itoa(i), "192.0.2."+strconv.Itoa(i%250), at)
		j.Knock(1, "nodekey:six"+strconv.Itoa(i), "2001:db8:1:"+strconv.Itoa(i%9000)+"::1", at)
		if i%1000 == 999 {
			j.Knock(1, "nodekey:real"+strconv.Itoa(i), "198.51.100.1", at)
		}
	}
	kinds := map[string]int{}
	for key := range j.knocks[1].byKey {
		kinds[strings.TrimRight(key, "0123456789")]++
	}
	if kinds["nodekey:real"] != 60 || kinds["nodekey:four"] > 125 || kinds["nodekey:six"] > 125 {
		t.Fatalf("%v", kinds)
	}
	if n := len(j.knocks[1].networks); n != 3 {
		t.Fatalf("%d networks", n)
	}
}

func TestNetworksOfAFloodAreBounded(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	for i := range 5 * mostNetworks {
		address := "10." + strconv.Itoa(i/256) + "." + strconv.Itoa(i%256) + ".1"
		j.Knock(1, "nodekey:"+strconv.Itoa(i), address, noon.Add(time.Duration(i)*time.Millisecond))
	}
	if n := len(j.knocks[1].networks); n > mostNetworks {
		t.Fatalf("%d networks", n)
	}
}

func TestEachKindIsBoundedByItself(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	j.Removed(9)
	for i := range 2*Kept + 10 {
		j.Event(1, strconv.Itoa(i), nil)
	}
	events, cursor, removed := 0, "", 0
	var last string
	for more := true; more; {
		page := j.Since(cursor)
		if len(page.Events) > 2000 {
			t.Fatal("page too large")
		}
		events, removed, cursor, more = events+len(page.Events), removed+len(page.Removed), page.Cursor, page.More
		for _, e := range page.Events {
			last = e.Kind
		}
	}
	if events > Kept || events < Kept*8/10 || removed != 1 || last != strconv.Itoa(2*Kept+9) {
		t.Fatalf("%d events up to %s, %d removed", events, last, removed)
	}
}

func TestFinishedStartIsToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	start := protocol.FinishedStart{Relay: 1, StartID: "a", SentBytes: 10}
	j.Finished(start)
	j.Finished(start)
	again := open(t, path)
	again.Finished(start)
	if page := again.Since(""); len(page.Starts) != 1 {
		t.Fatalf("%+v", page.Starts)
	}
}

func TestResetBeginsANewEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	j.Event(1, "old", nil)
	if err := j.Reset("other"); err != nil {
		t.Fatal(err)
	}
	j.Event(1, "new", nil)
	page := open(t, path).Since("epoch:1")
	if len(page.Events) != 1 || !strings.HasPrefix(page.Cursor, "other:") {
		t.Fatalf("%+v", page)
	}
}
