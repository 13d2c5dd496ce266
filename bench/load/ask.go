package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// askWish is one HTTP request, repeated at a steady rate over connections that
// are kept open, as derper does it: with http.DefaultClient.
type askWish struct {
	URL     string  `json:"url"`
	Method  string  `json:"method"`
	Body    string  `json:"body"`
	Expect  string  `json:"expect"` // what the answer must contain
	Rate    int     `json:"rate"`   // per second
	Seconds float64 `json:"seconds"`
}

type askResult struct {
	Asked   int     `json:"asked"`
	Wrong   int     `json:"wrong"`
	PerS    float64 `json:"per_s"`
	P50Ms   float64 `json:"p50_ms"`
	P99Ms   float64 `json:"p99_ms"`
	MaxMs   float64 `json:"max_ms"`
	Trouble string  `json:"trouble,omitempty"`
}

// ask measures from when a request was due, so that what waits behind a slow
// answer counts too.
func ask(w askWish) (askResult, error) {
	count := int(float64(w.Rate) * w.Seconds)
	took := make([]time.Duration, count)
	trouble := make([]error, count)
	var all sync.WaitGroup
	began := time.Now()
	for number := range count {
		due := began.Add(time.Duration(number) * time.Second / time.Duration(w.Rate))
		time.Sleep(time.Until(due))
		all.Go(func() {
			trouble[number] = once(w)
			took[number] = time.Since(due)
		})
	}
	all.Wait()
	lasted := time.Since(began)
	slices.Sort(took)
	result := askResult{
		Asked: count,
		PerS:  float64(count) / lasted.Seconds(),
		P50Ms: ms(took[count/2]),
		P99Ms: ms(took[count*99/100]),
		MaxMs: ms(took[count-1]),
	}
	for _, err := range trouble {
		if err != nil {
			result.Wrong++
			result.Trouble = err.Error()
		}
	}
	return result, nil
}

func once(w askWish) error {
	request, err := http.NewRequest(w.Method, w.URL, bytes.NewReader([]byte(w.Body)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 || !bytes.Contains(text, []byte(w.Expect)) {
		return fmt.Errorf("%s: %.200s", answer.Status, text)
	}
	return nil
}

// answer is the least an admission can be: what the node is compared with.
func answer(response http.ResponseWriter, request *http.Request) {
	var question struct{ NodePublic, Source string }
	if err := json.NewDecoder(request.Body).Decode(&question); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	fmt.Fprint(response, `{"Allow":true}`)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
