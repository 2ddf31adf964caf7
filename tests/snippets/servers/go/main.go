package main

import (
	"log"
	"net/http"
	"os"

	"server/webhooks"
)

func main() {
	http.HandleFunc("POST /webhooks", webhooks.Receive)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
