// Sends one message by Go's standard library; no module is needed.
//
//	go run examples/send.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type message struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// answer has the fields of a receipt and of a problem document that are of use here.
type answer struct {
	MessageID string `json:"messageId"`
	Code      string `json:"code"`
	Delivery  string `json:"delivery"`
	Detail    string `json:"detail"`
}

func main() {
	body, err := json.Marshal(message{
		From:    "Shop <shop@example.com>",
		To:      "ben@example.com",
		Subject: "Your order is on its way",
		Text:    "It should arrive on Thursday.",
	})
	if err != nil {
		log.Fatal(err)
	}
	url := getenv("POSTERN_URL", "http://localhost:8080")
	request, err := http.NewRequest(http.MethodPost, url+"/v1/messages", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+getenv("POSTERN_TOKEN", "sandbox-token-for-development"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "order-23-shipped")

	client := &http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var got answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		log.Fatalf("%s (%s): %s", got.Code, got.Delivery, got.Detail)
	}
	fmt.Println("Sent as", got.MessageID)
}

func getenv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
