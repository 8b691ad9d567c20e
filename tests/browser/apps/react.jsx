import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { Readers } from "./presence.jsx";

function App() {
  const [isOpen, setOpen] = useState(true);
  const [id, setId] = useState(42);
  return (
    <>
      <button type="button" onClick={() => setOpen(!isOpen)}>
        Toggle
      </button>
      <button type="button" onClick={() => setId(id + 1)}>
        Next
      </button>
      {isOpen && <Readers document={{ id }} />}
    </>
  );
}

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
