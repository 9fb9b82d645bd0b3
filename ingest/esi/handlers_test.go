package esi_test

import (
	"net/http"
	"sync"

	"github.com/muster-sync/muster/ingest/ingesttest"
)

// statusHandler answers with a status and an error as ESI words it.
func statusHandler(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, status, `{"error":"so it is"}`)
	})
}

// blockingHandler tells when the first request arrived and answers when it may.
func blockingHandler(arrived, answer chan struct{}) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(arrived) })
		<-answer
		w.Header().Set("Cache-Control", "max-age=60")
		ingesttest.JSON(w, http.StatusOK, "1")
	})
}
