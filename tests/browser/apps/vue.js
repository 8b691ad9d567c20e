import { createApp, h, ref } from "vue";
import { usePresence } from "./presence.js";

const Readers = {
  props: ["id"],
  setup(props) {
    const { people, room } = usePresence(() => `document:${props.id}`);
    const name = (person) => (person.id === room.value?.me ? "You" : person.name);
    return () =>
      h(
        "ul",
        people.value.map((person) => h("li", { key: person.id }, name(person))),
      );
  },
};

const App = {
  setup() {
    const isOpen = ref(true);
    const id = ref(42);
    return () => [
      h("button", { onClick: () => (isOpen.value = !isOpen.value) }, "Toggle"),
      h("button", { onClick: () => (id.value += 1) }, "Next"),
      isOpen.value && h(Readers, { id: id.value }),
    ];
  },
};

createApp(App).mount("#app");
