package clickhouse

// Within is the reader with another budget.
func (r *WalletReader) Within(b Budget) *WalletReader {
	return &WalletReader{conn: r.conn, live: r.live, budget: b}
}
