"use strict";
document.documentElement.classList.add("live");

// A pair under one frame: what is left of the slider is before, what is right of it is after.
for (const frame of document.querySelectorAll(".pair .frame")) {
  const slider = frame.querySelector("input");
  const move = () => {
    frame.style.setProperty("--at", slider.value + "%");
    slider.setAttribute("aria-valuetext", slider.value + " % before, " + (100 - slider.value) + " % after");
  };
  slider.hidden = false;
  slider.addEventListener("input", move);
  move();
}

// Previews on one stage, stepped through by a slider.
for (const box of document.querySelectorAll(".previews:has(.steps)")) {
  const [slider, button, told, shown] = ["input", "button", ".steps p", ".stage img"].map(each => box.querySelector(each));
  const sheets = [];
  for (const sheet of box.querySelectorAll("[data-at]")) {
    const { src, alt } = sheet.querySelector("img");
    sheets[sheet.dataset.at] = { src, alt, said: sheet.querySelector("p").textContent };
  }
  let timer = 0;
  const show = () => {
    const { src, alt, said } = sheets[slider.value];
    Object.assign(shown, { src, alt });
    told.textContent = said;
    slider.setAttribute("aria-valuetext", said);
  };
  const pause = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) return pause();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "Pause";
    show();
    timer = setInterval(() => {
      slider.stepUp();
      show();
      if (slider.value === slider.max) pause();
    }, 400);
  });
  slider.addEventListener("input", () => { pause(); show(); });
  for (const surplus of box.querySelectorAll("details, .stage p")) surplus.remove();
  box.querySelector(".steps").hidden = false;
  show();
}

// One voice at a time, and a line that runs along its spectrogram.
const voices = [...document.querySelectorAll(".voice")].map(voice => [voice.querySelector("div"), voice.querySelector("audio")]);
for (const [picture, sound] of voices) {
  const follow = () => {
    picture.style.setProperty("--at", 100 * sound.currentTime / (sound.duration || 1) + "%");
    if (!sound.paused) requestAnimationFrame(follow);
  };
  sound.addEventListener("play", () => {
    for (const [, other] of voices) if (other !== sound) other.pause();
    picture.classList.add("heard");
    follow();
  });
  sound.addEventListener("seeked", follow);
}
