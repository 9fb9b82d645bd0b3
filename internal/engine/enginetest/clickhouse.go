package enginetest

type clickhouseServer struct{ dsn string }
