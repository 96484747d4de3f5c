// Runs when Gradio has put the part on the page: fetch its module and let it draw.
import(`/lab/static/${props.module}.js`)
  .then((module) => module.mount(element))
  .catch((error) => {
    element.textContent = `This part could not start: ${error.message}`;
    console.error(error);
  });
