package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// floodWish is one HTTP request, repeated as quickly as answers come, over so
// many connections that are kept open.
type floodWish struct {
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Status      int               `json:"status"` // what every answer must have
	Connections int               `json:"connections"`
	Seconds     float64           `json:"seconds"`
}

type floodResult struct {
	PerS    float64 `json:"per_s"`
	P50Ms   float64 `json:"p50_ms"`
	P99Ms   float64 `json:"p99_ms"`
	Wrong   int     `json:"wrong"`
	Trouble string  `json:"trouble,omitempty"`
}

func flood(w floodWish) (floodResult, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: w.Connections}}
	took := make([][]time.Duration, w.Connections)
	trouble := make([]error, w.Connections)
	wrong := make([]int, w.Connections)
	began := time.Now()
	until := began.Add(time.Duration(w.Seconds * float64(time.Second)))
	var all sync.WaitGroup
	for number := range w.Connections {
		all.Go(func() {
			for time.Now().Before(until) {
				asked := time.Now()
				if err := get(client, w); err != nil {
					trouble[number] = err
					wrong[number]++
				}
				took[number] = append(took[number], time.Since(asked))
			}
		})
	}
	all.Wait()
	lasted := time.Since(began)
	every := slices.Concat(took...)
	if len(every) == 0 {
		return floodResult{}, fmt.Errorf("%s: nothing was asked", w.URL)
	}
	slices.Sort(every)
	result := floodResult{
		PerS:  float64(len(every)) / lasted.Seconds(),
		P50Ms: ms(every[len(every)/2]),
		P99Ms: ms(every[len(every)*99/100]),
	}
	for number, err := range trouble {
		result.Wrong += wrong[number]
		if err != nil {
			result.Trouble = err.Error()
		}
	}
	return result, nil
}

func get(client *http.Client, w floodWish) error {
	request, err := http.NewRequest(http.MethodGet, w.URL, nil)
	if err != nil {
		return err
	}
	for name, value := range w.Headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != w.Status {
		return fmt.Errorf("%s: %.200s", answer.Status, text)
	}
	return nil
}
