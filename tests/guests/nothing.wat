;; Does nothing, and needs nothing.
(module (func (export "_start")))
